//! Steps that the reference takes for one, and that differ in what its ids leave out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use obuilder::builder::StepInputs;
use obuilder_spec::{Copy, Op, Source};
use oci::fetch::ImportedImage;

use super::house::{run, run_with, spec, story};

#[test]
fn a_cache_over_the_programs_of_another_poisons_nothing() {
    story(|house| async move {
        house.fetcher.brings("base");
        let honest = spec("base", [run("make"), run("install")]);
        let poisoned = spec("base", [run_with("make", &[("mine", "/bin")], &[])]);
        let elsewhere = spec("base", [run_with("make", &[("mine", "/sbin")], &[])]);
        let renamed = spec("base", [run_with("make", &[("other", "/bin")], &[])]);

        // The attacker comes first, and has the id that the reference gives it.
        house.sandbox.expect("make").write("out", "evil").exit(0);
        let evil = house.build(&poisoned).await.0.unwrap();
        house.sandbox.expect("make").write("out", "good").exit(0);
        house.sandbox.expect("install").double("out", "bin").exit(0);
        let good = house.build(&honest).await.0.unwrap();
        assert_eq!(house.store.file(&good, "bin"), "goodgood");
        assert_eq!(house.store.file(&evil, "out"), "evil");
        for (spec, text) in [(&elsewhere, "sbin"), (&renamed, "other")] {
            house.sandbox.expect("make").write("out", text).exit(0);
            let id = house.build(spec).await.0.unwrap();
            assert_eq!(house.store.file(&id, "out"), text);
        }

        // Each finds its own again, and nothing runs.
        for (spec, id) in [(&honest, good), (&poisoned, evil)] {
            assert_eq!(house.build(spec).await.0.unwrap(), id);
        }
        // What one variant is based on cannot be removed by way of another's.
        house.builder.delete(&evil, &mut |_| ()).await.unwrap();
        assert!(house.store.has(&good) && !house.store.has(&evil));
        assert_eq!(house.build(&honest).await.0.unwrap(), good);
        house.sandbox.expect("make").write("out", "again").exit(0);
        assert_eq!(house.build(&poisoned).await.0.unwrap(), evil);
    });
}

#[test]
fn copies_of_files_with_other_modes_are_others() {
    story(|house| async move {
        house.fetcher.brings("base");
        let copy = Op::Copy(Copy {
            from: Source::Context,
            src: vec!["tool".into()],
            dst: "/tool".into(),
            exclude: Vec::new(),
        });
        let spec = spec("base", [copy]);
        fs::create_dir(house.source()).unwrap();
        let tool = house.source().join("tool");
        fs::write(&tool, "#!/bin/sh\n").unwrap();
        let mut ids = Vec::new();
        for mode in [0o755, 0o644, 0o755, 0o600] {
            fs::set_permissions(&tool, PermissionsExt::from_mode(mode)).unwrap();
            let id = house.build(&spec).await.0.unwrap();
            let copied = house.store.dir(&id).join("rootfs/tool");
            let copied = fs::metadata(copied).unwrap().permissions().mode();
            assert_eq!(copied & 0o111 != 0, mode & 0o111 != 0, "{mode:o}");
            ids.push(id);
        }
        assert_eq!(ids[0], ids[2]);
        assert_eq!(ids[1], ids[3]);
        assert_ne!(ids[0], ids[1]);
    });
}

#[test]
fn a_step_in_progress_is_joined_by_its_like_alone() {
    story(|house| async move {
        house.fetcher.brings("base");
        let with = |cache| spec("base", [run_with("A", &[(cache, "/bin")], &[])]);
        let first = house.sandbox.expect("A");
        let attacker = house.start(&with("mine"));
        first.started().await;
        let second = house.sandbox.expect("A");
        let victim = house.start(&with("theirs"));
        second.started().await;
        let friend = house.start(&with("theirs"));
        first.print("evil\n").write("out", "evil").exit(0);
        second.print("good\n").write("out", "good").exit(0);
        for build in [victim, friend] {
            let log = build.log.clone();
            let id = build.end().await.unwrap();
            assert_eq!(house.store.file(&id, "out"), "good");
            assert!(log.text().contains("good\n") && !log.text().contains("evil\n"));
        }
        let id = attacker.end().await.unwrap();
        assert_eq!(house.store.file(&id, "out"), "evil");
    });
}

#[test]
fn results_of_programs_that_kept_no_records_are_used() {
    story(|house| async move {
        house.fetcher.brings("base");
        let caches = [("mine", "/bin")];
        house.sandbox.expect("A").exit(0);
        let id = house.build(&spec("base", [run("A")])).await.0.unwrap();
        fs::remove_file(house.store.dir(&id).join("variant")).unwrap();
        let again = house
            .build(&spec("base", [run_with("A", &caches, &[])]))
            .await;
        assert_eq!(again.0.unwrap(), id);
        assert_ne!(id, StepInputs::Base("base".into()).id());
    });
}

#[test]
fn a_name_means_the_newest_import() {
    story(|house| async move {
        let import = |digest: &str, when: Timestamp| {
            *house.fetcher.imported.borrow_mut() = Some(ImportedImage {
                digest: digest.to_owned(),
                when: Some(when),
            });
        };
        let build = async |runs: bool| {
            if runs {
                house.fetcher.brings("base");
                house.sandbox.expect("A").exit(0);
            }
            let (result, log) = house.build(&spec("base", [run("A")])).await;
            (result.unwrap(), log)
        };
        // Before it is imported by hand, it comes from elsewhere.
        let (fetched, _) = build(true).await;
        import("sha256:1", Timestamp::MAX);
        let (first, _) = build(true).await;
        import("sha256:2", Timestamp::MAX);
        let (second, _) = build(true).await;
        assert!(fetched != first && first != second && second != fetched);
        // Nothing of an earlier one was removed, and to import it again brings it back.
        assert_eq!(house.store.len(), 6);
        assert_eq!(build(false).await.0, second);
        import("sha256:1", Timestamp::MAX);
        assert_eq!(build(false).await.0, first);
    });
}

#[test]
fn a_first_import_has_the_id_of_the_reference() {
    story(|house| async move {
        *house.fetcher.imported.borrow_mut() = Some(ImportedImage {
            digest: "sha256:1".to_owned(),
            when: Some(Timestamp::UNIX_EPOCH),
        });
        house.fetcher.brings("base");
        let id = house.build(&spec("base", [])).await.0.unwrap();
        assert_eq!(id, StepInputs::Base("base".into()).id());
        let op = house.builder.op(&id).unwrap();
        assert_eq!(op.as_deref(), Some("(from base)"));
    });
}
