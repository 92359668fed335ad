//! One worker, as the list of a pool's workers has it.

use crate::RpcError;
use crate::raw::schema_capnp::worker_info;
use crate::text::text;

/// One worker of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The name it registered with.
    pub name: String,
    /// Whether it is ready to take jobs: false while it is paused.
    pub active: bool,
    /// Whether it is registered now.
    pub connected: bool,
}

impl WorkerInfo {
    pub(super) fn read(reader: worker_info::Reader<'_>, index: usize) -> Result<Self, RpcError> {
        Ok(Self {
            name: text(reader.get_name(), format_args!("workers[{index}].name"))?,
            active: reader.get_active(),
            connected: reader.get_connected(),
        })
    }

    pub(super) fn write(&self, mut builder: worker_info::Builder<'_>) {
        let Self {
            name,
            active,
            connected,
        } = self;
        builder.set_name(name);
        builder.set_active(*active);
        builder.set_connected(*connected);
    }
}
