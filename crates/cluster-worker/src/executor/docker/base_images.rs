//! Which images a Dockerfile is built on: for a worker that must not fetch any.
//!
//! `docker build` cannot be told to fetch nothing. On a machine without a registry it would look for one, for minutes
//! perhaps, before it said that an image is missing; so we look first. What we cannot tell (an image named by a build
//! argument, or by `COPY --from`) is left to `docker`.

use std::collections::BTreeSet;

/// Returns the images that the stages of a Dockerfile begin with, in order, without those that are made on the way.
pub(super) fn base_images(dockerfile: &str) -> Vec<String> {
    let mut stages = BTreeSet::new();
    let mut images = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| is_word(word, "from")) {
            continue;
        }
        let mut words = words.skip_while(|word| word.starts_with("--"));
        let Some(image) = words.next() else {
            continue;
        };
        let is_made_here = is_word(image, "scratch") || stages.contains(&image.to_lowercase());
        let is_known = !image.contains(['$', '\\', '`', '<']);
        if is_known && !is_made_here && !images.iter().any(|known| known == image) {
            images.push(image.to_owned());
        }
        if words.next().is_some_and(|word| is_word(word, "as")) {
            stages.extend(words.next().map(str::to_lowercase));
        }
    }
    images
}

fn is_word(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

#[cfg(test)]
mod tests {
    use super::base_images;

    #[test]
    fn images_are_found_and_stages_are_not() {
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
        assert_eq!(base_images(dockerfile), ["debian:12", "busybox"]);
        assert_eq!(base_images(""), [""; 0]);
    }
}
