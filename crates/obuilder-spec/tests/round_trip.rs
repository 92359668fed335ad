//! What is printed is read back: any spec, with any bytes in its words.

use bstr::BString;
use obuilder_spec::{CacheMount, Copy, Op, Run, SecretMount, Sexp, Source, Spec, User};
use proptest::collection::vec;
use proptest::prelude::*;

/// A word as people write it, or with what is hard to print, or with anything.
fn word() -> impl Strategy<Value = BString> {
    let pieces = prop::sample::select(vec![
        "#|", "|#", "#;", "\n", "\r\n", "\\", "\"", ";", "(", ")", " ", "\t", "\x08", "é", "012",
        "x",
    ]);
    prop_oneof![
        "[a-z/.:-]{1,12}".prop_map(BString::from),
        "[a-z -]{40,100}".prop_map(BString::from),
        vec(pieces, 0..6).prop_map(|pieces| pieces.concat().into()),
        vec(any::<u8>(), 0..12).prop_map(BString::from),
    ]
}

fn words() -> impl Strategy<Value = Vec<BString>> {
    vec(word(), 0..4)
}

fn options() -> impl Strategy<Value = Vec<(BString, BString)>> {
    vec((word(), word()), 0..3)
}

fn run() -> impl Strategy<Value = Run> {
    let mount = || vec((word(), word(), options()), 0..3);
    (mount(), words(), mount(), word()).prop_map(|(cache, network, secrets, shell)| Run {
        cache: cache
            .into_iter()
            .map(|(id, target, buildkit_options)| CacheMount {
                id,
                target,
                buildkit_options,
            })
            .collect(),
        network,
        secrets: secrets
            .into_iter()
            .map(|(id, target, buildkit_options)| SecretMount {
                id,
                target,
                buildkit_options,
            })
            .collect(),
        shell,
    })
}

/// A copy. Which build it copies from is settled when it is known which there are.
fn copy() -> impl Strategy<Value = Copy> {
    let from = prop_oneof![Just(Source::Context), word().prop_map(Source::Build)];
    (from, words(), word(), words()).prop_map(|(from, src, dst, exclude)| Copy {
        from,
        src,
        dst,
        exclude,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let id = -(1_i64 << 62)..1 << 62;
    prop_oneof![
        word().prop_map(Op::Comment),
        word().prop_map(Op::Workdir),
        words().prop_map(Op::Shell),
        run().prop_map(Op::Run),
        copy().prop_map(Op::Copy),
        (id.clone(), id).prop_map(|(uid, gid)| Op::User(User::Unix { uid, gid })),
        word().prop_map(|name| Op::User(User::Named(name))),
        (word(), word()).prop_map(|(name, value)| Op::Env(name, value)),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let stage = |builds| {
        (builds, word(), vec(op(), 0..5)).prop_map(|(builds, from, ops)| Spec { builds, from, ops })
    };
    let leaf = stage(Just(vec![]).boxed());
    let any = leaf.prop_recursive(4, 12, 3, move |inner| {
        stage(vec((word(), inner), 0..3).boxed())
    });
    any.prop_map(|mut spec| {
        settle(&mut spec, &mut Vec::new());
        spec
    })
}

/// Makes each copy from a build one from a build that is in scope.
fn settle(spec: &mut Spec, scope: &mut Vec<BString>) {
    let outside = scope.len();
    for (name, build) in &mut spec.builds {
        settle(build, scope);
        scope.push(name.clone());
    }
    for op in &mut spec.ops {
        if let Op::Copy(Copy { from, .. }) = op
            && let Source::Build(name) = from
        {
            let choice = name.len().checked_rem(scope.len());
            *from = choice.map_or(Source::Context, |choice| {
                Source::Build(scope[choice].clone())
            });
        }
    }
    scope.truncate(outside);
}

fn sexp() -> impl Strategy<Value = Sexp> {
    let atom = word().prop_map(Sexp::Atom);
    atom.prop_recursive(6, 40, 5, |inner| vec(inner, 0..5).prop_map(Sexp::List))
}

proptest! {
    #[test]
    fn a_spec_is_read_back(spec in spec()) {
        let printed = spec.to_bytes();
        let read = Spec::parse(&printed, "printed.spec");
        let read = read.map_err(|error| TestCaseError::fail(format!("{}\n{printed}", error.report())))?;
        prop_assert_eq!(&read, &spec, "{}", printed);
        prop_assert_eq!(read.to_bytes(), printed);
    }

    #[test]
    fn an_op_is_the_same_as_an_s_expression(op in op()) {
        // Line breaks apart, both forms hold the same words.
        let printed = Sexp::parse(&op.to_bytes());
        prop_assert_eq!(printed, Ok(op.to_sexp()));
    }

    #[test]
    fn an_s_expression_is_read_back(sexp in sexp()) {
        let (machine, human) = (sexp.to_machine(), sexp.to_human());
        prop_assert!(!machine.contains(&b'\n'));
        prop_assert_eq!(Sexp::parse(&machine), Ok(sexp.clone()));
        prop_assert_eq!(Sexp::parse(&human), Ok(sexp));
    }
}
