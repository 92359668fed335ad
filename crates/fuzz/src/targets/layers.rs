//! Layers: nothing outside of the root filesystem is created, changed or removed, and no more is read than is allowed.

use oci::Limits;
use oci::fuzzing::unpack;

use super::guarded::Guarded;
use super::members::{Packing, archives, packed, with_checksums};
use crate::input::Input;
use crate::scratch;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let packing = [Packing::None, Packing::Gzip, Packing::Zstd][usize::from(mode >> 1) % 3];
    let layers = match mode {
        // Without changes. It may be compressed.
        240.. => vec![input.rest().to_vec()],
        _ if mode & 1 == 0 => vec![packed(&with_checksums(input.rest()), packing)],
        _ => archives(&mut input)
            .iter()
            .map(|archive| packed(archive, packing))
            .collect(),
    };
    let limits = Limits {
        entries: 500,
        unpacked: 1 << 20,
        ..Limits::default()
    };
    let around = scratch::directory();
    let guarded = Guarded::new(around.path());
    let layers = layers.iter().map(|layer| scratch::file(layer)).collect();
    // They may be unpacked or refused.
    drop(unpack(&around.path().join("rootfs"), limits, layers));
    guarded.check();
}
