//! Dockerfiles and the images that they name.

use expect_test::expect;

use super::Images;

#[test]
fn images_are_found_without_stages() {
    let dockerfile = "# FROM comment\n\
        ARG version=3\n\
        FROM --platform=linux/amd64 debian:12 AS Build\n\
        RUN echo FROM here\n\
        from busybox\n\
        COPY --from=build /x /\n\
        FROM build as second\n\
        FROM scratch\n\
        FROM alpine:$version\n\
        FROM busybox\n\
        FROM\n";
    let images = Images::of(dockerfile, &[], false);
    assert_eq!(images.bases, ["debian:12", "busybox", "alpine:3"]);
    assert_eq!(Images::of("", &[], false), Images::default());
}

/// A malicious Dockerfile may have megabytes, and must not delay other jobs.
#[test]
fn malicious_dockerfiles_are_read_quickly() {
    let check = |dockerfile: &str| Images::of(dockerfile, &[], true).check();
    let chained = format!("FROM x\n{}COPY --from=419a / /", "ONBUILD ".repeat(200_000));
    assert!(check(&chained).is_err());
    let doubling = format!("ARG A=xxxxxxxx\n{}FROM $A\n", "ARG A=$A$A\n".repeat(60));
    assert!(check(&doubling).is_err());
    let many: String = (0..100_000).map(|n| format!("FROM x{n}\n")).collect();
    assert_eq!(Images::of(&many, &[], true).bases.len(), 100_000);
}

#[test]
fn an_image_must_be_named_by_its_name() {
    let mut shown = String::new();
    for dockerfile in [
        // Allowed.
        "FROM x AS b\nFROM B",
        "FROM x AS a\nFROM a\nCOPY --from=a / /\nCOPY --from=0 / /\nCOPY --from=1 / /",
        "FROM busybox@sha256:419a",
        "FROM 419a:latest",
        "ARG BASE\nFROM ${BASE:-debian}-$TARGETARCH",
        "FROM x\nRUN <<EOF\nFROM 419a\nEOF",
        // An id, or possibly one.
        "FROM 419a",
        "from --platform=x 419a as x",
        "FROM sha256:419a",
        "FROM \"41\"9\\a",
        "FROM 41\\\n9a",
        "ARG BASE=419a\nFROM $BASE",
        "ARG A=41\nARG B=${A}9a\nFROM ${B}",
        "ARG BASE\nFROM ${BASE:-419a}",
        "FROM $GIVEN",
        "ARG GIVEN=x\nFROM $GIVEN",
        "ARG BASE=${x%y}\nFROM $BASE",
        "FROM ${x%y}",
        "FROM x\nCOPY --chown=1 --from=419a / /",
        "FROM x\nCOPY --from=1 / /",
        "FROM x\nRUN --mount=type=bind,from=419a,target=/x true",
        "FROM x\nONBUILD COPY --from=419a / /",
        "FROM x AS 419a\nONBUILD COPY --from=419a / /",
        "# escape=`\nFROM x\nCOPY `\n--from=419a / /",
        "FROM x\nRUN <<EOF\nFROM y AS 419a\nEOF\nCOPY --from=419a / /",
    ] {
        let given = ["GIVEN=419a".to_owned()];
        let checked = Images::of(dockerfile, &given, true).check();
        let result = checked.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        let result = result.split([',', '(']).next().unwrap_or_default().trim();
        shown += &format!("{dockerfile:?}: {result}\n");
    }
    expect![[r##"
        "FROM x AS b\nFROM B": ok
        "FROM x AS a\nFROM a\nCOPY --from=a / /\nCOPY --from=0 / /\nCOPY --from=1 / /": ok
        "FROM busybox@sha256:419a": ok
        "FROM 419a:latest": ok
        "ARG BASE\nFROM ${BASE:-debian}-$TARGETARCH": ok
        "FROM x\nRUN <<EOF\nFROM 419a\nEOF": ok
        "FROM 419a": image "419a" is named by its id
        "from --platform=x 419a as x": image "419a" is named by its id
        "FROM sha256:419a": image "sha256:419a" is named by its id
        "FROM \"41\"9\\a": image "419a" is named by its id
        "FROM 41\\\n9a": image "419a" is named by its id
        "ARG BASE=419a\nFROM $BASE": image "419a" is named by its id
        "ARG A=41\nARG B=${A}9a\nFROM ${B}": image "419a" is named by its id
        "ARG BASE\nFROM ${BASE:-419a}": image "419a" is named by its id
        "FROM $GIVEN": ok
        "ARG GIVEN=x\nFROM $GIVEN": image "419a" is named by its id
        "ARG BASE=${x%y}\nFROM $BASE": cannot determine which image "$BASE" is; use plain variables
        "FROM ${x%y}": cannot determine which image "${x%y}" is; use plain variables
        "FROM x\nCOPY --chown=1 --from=419a / /": image "419a" is named by its id
        "FROM x\nCOPY --from=1 / /": image "1" is named by its id
        "FROM x\nRUN --mount=type=bind,from=419a,target=/x true": image "419a" is named by its id
        "FROM x\nONBUILD COPY --from=419a / /": image "419a" is named by its id
        "FROM x AS 419a\nONBUILD COPY --from=419a / /": image "419a" is named by its id
        "# escape=`\nFROM x\nCOPY `\n--from=419a / /": image "419a" is named by its id
        "FROM x\nRUN <<EOF\nFROM y AS 419a\nEOF\nCOPY --from=419a / /": image "419a" is named by its id
    "##]].assert_eq(&shown);
    let triggers = Images::of_triggers("RUN true\nCOPY --from=419a / /\n");
    assert!(triggers.check().is_err());
}

/// The classic builder reads these as ids, though they look like something else.
#[test]
fn an_id_cannot_be_hidden() {
    for dockerfile in [
        "\u{feff}FROM 419a",
        "FROM x AS 419a\nCOPY --from=419a / /",
        "FROM --platform=\"${U:+x busybox }linux\" 419a",
        "FROM x\nCOPY --chown=\"${U:+x y}0\" --from=419a / /",
        "ARG B=419a\nARG A=\"u B=busybox\"\nFROM $B",
        "ARG B=419a\nARG A=\\\" B=busybox \\\"\nFROM $B",
        "ARG A=busybox\nARG A\nFROM ${A:-419a}",
        "ARG A=${x%y}\nFROM de${A:+bian}",
        "FROM 419a$TARGETARCH",
        "# escape=`\nFROM 41`9a",
        "FROM x\nRUN true \\\\\nCOPY --from=419a / /",
        "FROM x\nRUN true \\\\\nFROM y AS 419a\nFROM z\nCOPY --from=419a / /",
        "# a b = c\n# escape=`\nFROM x\nRUN true `\nCOPY --from=419a / /",
    ] {
        let checked = Images::of(dockerfile, &[], false).check();
        assert!(checked.is_err(), "{dockerfile:?}");
    }
    for trigger in [
        "COPY \\\n--from=419a / /",
        "# escape=`\nCOPY `\n--from=419a / /",
        "\u{feff}COPY --from=419a / /",
    ] {
        assert!(Images::of_triggers(trigger).check().is_err(), "{trigger:?}");
    }
}

#[test]
fn names_that_only_buildkit_knows_are_allowed() {
    let dockerfile = "FROM x AS base-amd64\nFROM base-$TARGETARCH AS b\nFROM b\n\
                      RUN --mount=from=b,target=/b true";
    let images = Images::of(dockerfile, &[], true);
    assert_eq!(images.bases, ["x"]);
    images.check().unwrap();
}
