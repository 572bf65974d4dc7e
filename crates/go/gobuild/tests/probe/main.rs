//! The probe that longshore puts into images, run as an image's engine would run it: against servers, and as init beside dumb-init and tini.
//!
//! What dumb-init's and tini's own tests look at is asked of all three by the same tables. Where the two differ from each other, a row says
//! for each what comes out; where the probe sides with one of them, it stands in the same row.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod checks;
mod drain;
mod grpc;
mod init;
mod processes;
mod signals;
mod start;
mod terminal;

use std::process::ExitCode;

use longshore_testkit::{Requirement, Suite};

const PEERS: &[Requirement] = &[Requirement::Program("dumb-init"), Requirement::Program("tini")];
const PEERS_AND_ROOT: &[Requirement] = &[
    Requirement::Program("dumb-init"),
    Requirement::Program("tini"),
    Requirement::Program("unshare"),
    Requirement::Root,
];
const PEERS_AND_TERMINAL: &[Requirement] =
    &[Requirement::Program("dumb-init"), Requirement::Program("tini"), Requirement::Program("script")];
const GRPC: &[Requirement] = &[Requirement::Go, Requirement::ModuleProxy];

fn main() -> ExitCode {
    // Before there are threads: a process that another thread starts meanwhile would hold the file open for writing.
    start::write_programs();
    Suite::new()
        .test("the_bytes_are_small_static_and_never_written", &[], start::bytes)
        .test(
            "the_program_for_arm64_does_the_same",
            &[Requirement::Program("qemu-aarch64-static")],
            start::arm64,
        )
        .test("http_is_well_from_200_to_399", &[], checks::http)
        .test("tcp_is_well_when_it_accepts", &[], checks::tcp)
        .test("localhost_is_both_addresses", &[], checks::localhost)
        .test("time_is_limited", &[], checks::time)
        .test("usage_errors_end_with_2", &[], checks::usage)
        .test("an_answer_takes_no_millisecond", &[], checks::fast)
        .test("grpc_says_what_was_answered", &[], grpc::answers)
        .test("grpc_go_is_understood", GRPC, grpc::go)
        .test("exit_codes_are_passed_on", PEERS, init::exit_codes)
        .test("a_command_that_cannot_run_is_told_by_the_code", PEERS, init::not_runnable)
        .test("wrong_usage_starts_nothing", PEERS, init::wrong_usage)
        .test("exit_codes_can_mean_success", PEERS, init::remapped)
        .test("a_script_without_an_interpreter_is_run_by_the_shell", PEERS, init::script)
        .test("the_command_starts_clean", PEERS, init::clean)
        .test("sessions_and_groups_are_as_asked_for", PEERS, init::sessions)
        .test("every_signal_is_passed_on", PEERS, signals::passed_on)
        .test("signals_are_rewritten", PEERS, signals::rewritten)
        .test("grandchildren_get_what_the_mode_says", PEERS, signals::reach)
        .test("stop_signals_stop_both", PEERS, signals::stopped)
        .test("what_is_left_of_the_session_gets_a_sigterm", PEERS, processes::left_over)
        .test("orphans_are_collected_by_process_1", PEERS_AND_ROOT, processes::orphans_of_process_1)
        .test("orphans_are_collected_by_a_subreaper", PEERS, processes::orphans_of_a_subreaper)
        .test("the_parents_death_is_told", PEERS, processes::parent_death)
        .test("the_command_has_the_terminal", PEERS_AND_TERMINAL, terminal::controlling)
        .test("a_sigterm_is_held_back_once", &[], drain::held_back)
        .run()
}
