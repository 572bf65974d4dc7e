//! The registry client against Debian's docker-registry, skopeo, and servers that fail.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod auth;
mod faults;
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
    let suite = suite
        .test("tokens_are_asked_for_and_renewed", &[], auth::tokens)
        .test("an_identity_token_is_exchanged", &[], auth::identity_tokens)
        .test("credentials_go_to_no_token_server_without_tls", &[], auth::realm_without_tls)
        .test("a_helper_is_asked", &[], auth::helpers)
        .test("refusals_are_typed_and_say_what_to_do", &[], faults::refusals)
        .test("digests_that_lie_are_found_out", &[], faults::lies)
        .test("old_and_strange_manifests_are_refused", &[], faults::strange_manifests);
    suite
        .test("a_broken_download_goes_on", &[REGISTRY], faults::broken_download)
        .test("a_broken_upload_goes_on_or_begins_anew", &[REGISTRY], faults::broken_upload)
        .test("a_large_body_refused_goes_in_pieces", &[REGISTRY], faults::pieces)
        .test("a_damaged_blob_is_the_error", &[REGISTRY], faults::damaged_blob)
        .test("a_registry_that_hangs_is_left", &[], faults::hang)
        .test("a_full_or_lying_registry_leaves_the_store_valid", &[REGISTRY], faults::store_stays_valid)
        .run()
}
