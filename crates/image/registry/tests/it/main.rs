//! The registry client against Debian's docker-registry, skopeo, and servers that fail.

mod images;
mod real;

use std::process::ExitCode;

use longshore_testkit::{Requirement, Suite};

const REGISTRY: Requirement = Requirement::Program("docker-registry");
const SKOPEO: Requirement = Requirement::Program("skopeo");
const HTPASSWD: Requirement = Requirement::Program("htpasswd");
const OPENSSL: Requirement = Requirement::Program("openssl");

fn main() -> ExitCode {
    let suite = Suite::new()
        .test("skopeo_reads_what_is_pushed", &[REGISTRY, SKOPEO], real::skopeo_reads_what_is_pushed)
        .test("what_skopeo_pushes_is_pulled", &[REGISTRY, SKOPEO], real::what_skopeo_pushes_is_pulled)
        .test("an_index_is_pulled_whole_or_for_one_platform", &[REGISTRY], real::an_index_whole_or_in_part)
        .test("what_is_there_is_not_sent_and_what_is_near_is_mounted", &[REGISTRY], real::skips_and_mounts)
        .test("a_copy_keeps_digests", &[REGISTRY], real::copies)
        .test("tags_referrers_and_deletion", &[REGISTRY], real::tags_referrers_and_deletion)
        .test("a_mirror_comes_first_and_may_fail", &[REGISTRY], real::mirrors)
        .test("passwords_over_tls", &[REGISTRY, HTPASSWD, OPENSSL], real::passwords_over_tls);
    suite.run()
}
