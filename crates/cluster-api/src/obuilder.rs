//! Jobs that build an OBuilder spec.

use crate::RpcError;
use crate::encoded::MAX_DESCRIPTION_BYTES;
use crate::raw::schema_capnp::o_builder;
use crate::text::long_text;

/// An OBuilder build, with the commits of the description as its source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OBuilderBuild {
    /// The contents of the spec, as an S-expression.
    pub spec: String,
}

impl OBuilderBuild {
    pub(crate) fn read(reader: o_builder::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            spec: long_text(reader.get_spec(), "description.spec", MAX_DESCRIPTION_BYTES)?,
        })
    }

    pub(crate) fn write(&self, mut builder: o_builder::Builder<'_>) {
        builder.set_spec(&self.spec);
    }
}
