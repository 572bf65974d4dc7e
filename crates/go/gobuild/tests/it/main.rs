//! Builds of small modules with the real Go, looked at through what they left in the store.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on ends")]

mod digests;
mod failures;
mod images;
mod lock;
mod memory;
mod random;
mod world;

use std::process::ExitCode;

use longshore_testkit::{Requirement, Suite};

const GO: &[Requirement] = &[Requirement::Go];
const GO_AND_GIT: &[Requirement] = &[Requirement::Go, Requirement::Program("git")];
const GO_AND_C: &[Requirement] = &[Requirement::Go, Requirement::CCompiler];
const GO_AND_ROOT: &[Requirement] = &[Requirement::Go, Requirement::Root, Requirement::Program("setpriv")];

fn main() -> ExitCode {
    Suite::new()
        .test("a_service_becomes_an_image", GO, images::a_service_becomes_an_image)
        .test("platforms_become_an_index", GO, images::platforms_become_an_index)
        .test("the_program_decides_what_goes_in", GO, images::the_program_decides_what_goes_in)
        .test("settings_reach_the_config", GO, images::settings_reach_the_config)
        .test("a_health_url_brings_the_probe", GO, images::a_health_url_brings_the_probe)
        .test("files_are_included", GO, images::files_are_included)
        .test("the_commit_is_told", GO_AND_GIT, images::the_commit_is_told)
        .test("a_base_is_kept_and_checked", GO_AND_C, images::a_base_is_kept_and_checked)
        .test("cgo_links_what_its_base_has", GO_AND_C, images::cgo_links_what_its_base_has)
        .test("the_race_detector_is_in_the_program", GO_AND_C, images::the_race_detector_is_in_the_program)
        .test("a_home_is_not_needed", GO, images::a_home_is_not_needed)
        .test("the_store_stays_valid", GO, images::the_store_stays_valid)
        .test("failures_say_what_go_said", GO, failures::failures_say_what_go_said)
        .test("settings_that_contradict_are_refused", GO, failures::settings_that_contradict_are_refused)
        .test("a_stopped_build_leaves_nothing", GO, failures::a_stopped_build_leaves_nothing)
        .test("the_digest_is_the_same_anywhere", GO_AND_GIT, digests::the_digest_is_the_same_anywhere)
        .test(
            "the_digest_is_the_same_for_another_user",
            GO_AND_ROOT,
            digests::the_digest_is_the_same_for_another_user,
        )
        .test("another_user_builds", GO, digests::another_user_builds)
        .test("an_image_is_built_again", GO_AND_GIT, digests::an_image_is_built_again)
        .test("a_difference_is_named", GO, digests::a_difference_is_named)
        .test("the_lock_pins_and_is_written_when_something_was_resolved", GO, lock::pins_and_is_written)
        .test("locked_builds_name_what_drifted", GO, lock::locked_builds_name_what_drifted)
        .test("nothing_changed_means_nothing_done", GO, memory::nothing_changed_means_nothing_done)
        .test("what_was_not_there_is_an_input", GO, memory::what_was_not_there_is_an_input)
        .test("a_commit_is_an_input", GO_AND_GIT, memory::a_commit_is_an_input)
        .test(
            "an_image_is_not_pruned_before_it_has_a_name",
            GO,
            memory::an_image_is_not_pruned_before_it_has_a_name,
        )
        .test("a_lost_blob_is_built_again", GO, memory::a_lost_blob_is_built_again)
        .test("random_changes_are_never_missed", GO, random::changes_are_never_missed)
        .run()
}
