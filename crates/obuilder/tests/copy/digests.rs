//! Digests that are kept, so that what is as it was is not read again.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bstr::ByteSlice as _;
use obuilder::copy::{self, Digests, Request};
use tokio_util::sync::CancellationToken;

use crate::tree::Place;

fn place() -> Place {
    let place = Place::new();
    place
        .source()
        .file("a", "one")
        .file("b", "two")
        .file("dir/c", "three");
    place
}

/// Returns how many files were read.
fn files_read(place: &Place, request: &Request) -> usize {
    copy::read(request, &place.digests(), &CancellationToken::new())
        .unwrap()
        .files_read()
}

fn tables(place: &Place) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(place.outside().join("state/digests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_file_is_read_once() {
    let place = place();
    let all = place.request(&["."], "/d/");
    let first = copy::read(&all, &place.digests(), &CancellationToken::new()).unwrap();
    assert_eq!(first.files_read(), 3);
    let second = copy::read(&all, &place.digests(), &CancellationToken::new()).unwrap();
    assert_eq!(second.files_read(), 0);
    assert_eq!(first.sexp(), second.sexp());
    // One that is new is, and the others still are not.
    place.source().file("dir/new", "four");
    assert_eq!(files_read(&place, &all), 1);
    assert_eq!(files_read(&place, &place.request(&["a", "dir"], "/d/")), 0);
    assert_eq!(files_read(&place, &all), 0);
}

#[test]
fn a_change_is_noticed_whatever_the_times_say() {
    let place = place();
    let all = place.request(&["."], "/d/");
    let before = copy::read(&all, &place.digests(), &CancellationToken::new()).unwrap();
    // The same size, and the same time of modification, as unpacking an archive would give it.
    place.source().file("a", "ONE");
    let after = copy::read(&all, &place.digests(), &CancellationToken::new()).unwrap();
    assert_eq!(after.files_read(), 1);
    assert_ne!(before.sexp(), after.sexp());
}

#[test]
fn a_file_that_was_changed_just_now_is_read_the_next_time_too() {
    let place = place();
    let all = place.request(&["."], "/d/");
    let state = place.outside().join("state");
    // As if no time had passed since: another change might give the file the times that it has.
    let at_once = Digests::with_clock(&state, || SystemTime::now() - Duration::from_secs(1));
    for _ in 0..3 {
        assert_eq!(
            copy::read(&all, &at_once, &CancellationToken::new())
                .unwrap()
                .files_read(),
            3
        );
    }
    assert_eq!(files_read(&place, &all), 3);
    assert_eq!(files_read(&place, &all), 0);
}

#[test]
fn a_damaged_table_is_an_empty_one() {
    let place = place();
    let all = place.request(&["."], "/d/");
    let digests = || {
        copy::read(&all, &place.digests(), &CancellationToken::new())
            .unwrap()
            .sexp()
    };
    let expected = digests();
    let [table] = tables(&place).try_into().unwrap();
    let whole = fs::read(&table).unwrap();
    let mut cases = vec![
        Vec::new(),
        b"obdig 1\n".to_vec(),
        b"something else".to_vec(),
    ];
    for length in (0..whole.len()).step_by(7) {
        cases.push(whole.get(..length).unwrap().to_vec());
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        *damaged.get_mut(at).unwrap() ^= 0x20;
        cases.push(damaged);
    }
    for damaged in cases {
        fs::write(&table, &damaged).unwrap();
        assert_eq!(files_read(&place, &all), 3, "{}", damaged.as_bstr());
        assert_eq!(digests(), expected);
    }
    assert_eq!(files_read(&place, &all), 0, "and it is written anew");
}

#[test]
fn digests_that_cannot_be_kept_are_no_error() {
    let place = place();
    let all = place.request(&["."], "/d/");
    fs::write(place.outside().join("state"), "not a directory").unwrap();
    assert_eq!(files_read(&place, &all), 3);
    assert_eq!(files_read(&place, &all), 3);
}

#[test]
fn each_root_has_its_own_table_and_few_are_kept() {
    let place = place();
    for number in 0..70 {
        let root = place.outside().join(format!("root-{number}"));
        fs::rename(place.source().0, &root).unwrap();
        let mut request = place.request(&["."], "/d/");
        request.root.clone_from(&root);
        assert_eq!(files_read(&place, &request), 3);
        fs::rename(&root, place.source().0).unwrap();
    }
    assert_eq!(tables(&place).len(), 64);
}
