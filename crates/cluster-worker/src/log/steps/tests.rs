//! Tests of the steps that are found in the output of Docker builds.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::expect;

use super::*;
use crate::timeline::Timeline;

/// Reads output, a line each millisecond in pieces of some bytes, and returns the phases.
fn phases(format: StepFormat, output: &str, piece: usize) -> String {
    let mut timeline = Timeline::default();
    let mut reader = StepReader::new(format);
    let mut offset = 0;
    for (millis, line) in (0..).zip(output.split_inclusive('\n')) {
        let at = Duration::from_millis(millis);
        for bytes in line.as_bytes().chunks(piece) {
            reader.push(offset, bytes, |event| timeline.apply(at, event));
            offset += bytes.len() as u64;
        }
    }
    let mut text = String::new();
    for (_, phase) in timeline.since(0, 0).phases {
        let cached = if phase.cached { ", cached" } else { "" };
        let begins: String = output[usize::try_from(phase.log_offset).unwrap()..]
            .chars()
            .take(8)
            .collect();
        writeln!(
            text,
            "{} {:?}, {:?} to {:?}{cached}, at {begins}",
            phase.kind, phase.name, phase.started, phase.ended
        )
        .unwrap();
    }
    text
}

const BUILDKIT: &str = "\
#0 building with \"default\" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 98B done
#1 DONE 0.0s

#2 [internal] load metadata for docker.io/library/busybox:latest
#2 DONE 1.2s

#5 [build  1/10] FROM docker.io/library/busybox:latest@sha256:9ae
#5 resolve docker.io/library/busybox:latest@sha256:9ae 0.0s done
#5 CACHED

#6 [build  2/10] RUN make
#6 0.213 #9 [stage-1 1/1] RUN false
#6 ...

#7 [stage-1 2/2] RUN true
#7 DONE 0.3s

#6 [build  2/10] RUN make
#6 3.100 all done
#6 ERROR: process \"/bin/sh -c make\" did not complete successfully: exit code: 2

#8 exporting to image
#8 exporting layers 0.1s done
#8 writing image sha256:12 done
";

#[test]
fn buildkits_steps_are_found() {
    let expected = expect![[r#"
        image "docker.io/library/busybox:latest", 6ms to Some(7ms), at #2 [inte
        image "build 1/10 FROM docker.io/library/busybox:latest@sha256:9ae", 9ms to Some(11ms), cached, at #5 [buil
        step "build 2/10 RUN make", 13ms to Some(22ms), at #6 [buil
        step "stage-1 2/2 RUN true", 17ms to Some(18ms), at #7 [stag
        step "exporting to image", 24ms to None, at #8 expor
    "#]];
    expected.assert_eq(&phases(StepFormat::BuildKit, BUILDKIT, 1000));
    // Output comes in any pieces.
    expected.assert_eq(&phases(StepFormat::BuildKit, BUILDKIT, 3));
}

const CLASSIC: &str = "\
Sending build context to Docker daemon  2.048kB\r\r
Step 1/3 : FROM busybox
 ---> ba5dc23f65d4
Step 2/3 : RUN echo Step 2/3
 ---> Using cache
 ---> 1c4d
Step 3/3 : RUN make
 ---> Running in 5ca1
Step 3/3 : RUN spoofed
Step 1/9 : FROM spoofed
Removing intermediate container 5ca1
Successfully built 77d1
";

#[test]
fn the_classic_builders_steps_are_found() {
    let expected = expect![[r#"
        image "1/3 FROM busybox", 1ms to Some(3ms), at Step 1/3
        step "2/3 RUN echo Step 2/3", 3ms to Some(6ms), cached, at Step 2/3
        step "3/3 RUN make", 6ms to Some(11ms), at Step 3/3
    "#]];
    expected.assert_eq(&phases(StepFormat::Classic, CLASSIC, 1000));
    expected.assert_eq(&phases(StepFormat::Classic, CLASSIC, 1));
}

#[test]
fn a_hostile_output_is_bounded() {
    let mut reader = StepReader::new(StepFormat::BuildKit);
    let mut begun = 0;
    for number in 0..2 * MAX_PHASES {
        let line = format!("#{number} [1/1] RUN {}\n", "x".repeat(3 * MAX_LINE_BYTES));
        reader.push(0, line.as_bytes(), |event| {
            if let StepEvent::Begin { name, .. } = event {
                assert!(name.len() <= MAX_LINE_BYTES);
                begun += 1;
            }
            None
        });
    }
    assert_eq!(begun, MAX_PHASES);
    // A line that does not end, and bytes that are no text.
    reader.push(0, &vec![0xff; 100_000], |_| None);
    assert_eq!(reader.line.len(), MAX_LINE_BYTES);
    let mut reader = StepReader::new(StepFormat::BuildKit);
    for line in [
        "#",
        "# ",
        "#4294967296 DONE 1s",
        "#1",
        "[1/1] RUN",
        "#1 [",
        "#1 [] x",
        "#1 [a/b] x",
    ] {
        let line = format!("\n{line}\n");
        reader.push(0, line.as_bytes(), |event| panic!("{event:?}"));
    }
}
