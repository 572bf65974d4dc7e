//! The kit's own peers, met by programs other than longshore.

mod bases;
mod engine;
mod faults;
mod registry;

use std::process::ExitCode;

use longshore_testkit::{Requirement, Suite};

const CURL: Requirement = Requirement::Program("curl");
const SKOPEO: Requirement = Requirement::Program("skopeo");

fn main() -> ExitCode {
    Suite::new()
        .test("registry_takes_and_gives_images", &[SKOPEO], registry::takes_and_gives_images)
        .test("registry_wants_its_password_over_tls", &[SKOPEO], registry::wants_its_password_over_tls)
        .test("registry_ends_with_its_guard", &[CURL], registry::ends_with_its_guard)
        .test("engine_runs_a_container_as_nobody", &[Requirement::CCompiler], engine::runs_a_container)
        .test("faults_answer_stall_and_break_off", &[CURL], faults::answer_stall_and_break_off)
        .test("faults_spoil_one_request_of_many", &[SKOPEO], faults::spoil_one_request_of_many)
        .test("bases_are_valid_and_always_the_same", &[], bases::are_valid_and_always_the_same)
        .test("bases_hold_a_file_of_each_kind", &[], bases::hold_a_file_of_each_kind)
        .run()
}
