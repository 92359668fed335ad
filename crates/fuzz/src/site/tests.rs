//! Whether the conversations are complete.

use std::collections::HashSet;

use super::*;
use crate::wire::called_method;

/// The interfaces of `api/extensions.capnp` that peers call: their ids, and how many methods they have.
const EXTENSIONS: [(&str, u64, u16); 16] = [
    ("TicketStatus", 0xfa88_968e_688b_903b, 1),
    ("TemporaryPause", 0xcb85_7b1f_4f69_8543, 1),
    ("PoolDetails", 0xfcf5_d5f3_6fc6_a8aa, 2),
    ("Persistent", 0xc8cb_212f_cd9f_5691, 1),
    ("TicketNumber", 0xb4d1_c9e0_7a3f_5286, 1),
    ("PoolControl", 0xfa53_1e7c_ec24_d80a, 3),
    ("WorkerControl", 0xda98_782b_e473_0cdd, 2),
    ("JobOutcome", 0x9f3b_6c1d_5a8e_2047, 1),
    ("ProgressStatus", 0xb7e2_408c_6d91_f35b, 1),
    ("PauseReasons", 0xf89f_5bce_ad69_3ded, 1),
    ("DurableJobs", 0xd782_edfc_c9a0_ec60, 3),
    ("DurableJob", 0x9e02_f439_cc1e_128b, 7),
    ("ReturningWorkers", 0xa4c1_f093_6be2_d758, 1),
    ("DurableQueue", 0xe35d_7a1c_08f9_4b62, 1),
    ("KeptJob", 0xd06e_92f7_b315_8ca4, 1),
    ("JobsAdmin", 0x9787_9369_efd6_01a3, 6),
];

#[test]
fn the_conversations_call_every_extension() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let site = Site::start().await;
        let conversations = site.asking.iter().chain(&site.serving_side);
        let called: HashSet<(u64, u16)> = conversations
            .flat_map(|conversation| &conversation.messages)
            .map(|message| called_method(&message.bytes))
            .collect();
        for (name, id, methods) in EXTENSIONS {
            for method in 0..methods {
                assert!(
                    called.contains(&(id, method)),
                    "no peer calls method {method} of {name}"
                );
            }
        }
        site.end().await;
    });
}
