//! Fetching toolchains: from folders, from a proxy on loopback that lies, and from the real one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod choice;
mod faults;
mod fetch;
mod real;
mod support;

use std::process::ExitCode;

use longshore_testkit::Suite;

fn main() -> ExitCode {
    if let Some(done) = fetch::as_victim() {
        return done;
    }
    Suite::new()
        .test("choice_follows_lines_setting_and_pin", &[], choice::follows_lines_setting_and_pin)
        .test("choice_says_why_nothing_will_do", &[], choice::says_why_nothing_will_do)
        .test("fetch_from_a_folder_needs_no_network", &[], fetch::from_a_folder)
        .test("fetch_from_a_proxy_is_proved_by_its_database", &[], fetch::from_a_proxy)
        .test("fetch_heeds_the_settings_of_the_installed_go", &[], fetch::by_the_installed_settings)
        .test("fetch_by_several_at_once_downloads_once", &[], fetch::by_several_at_once)
        .test("fetch_killed_at_any_time_leaves_nothing_half_valid", &[], fetch::killed_at_any_time)
        .test("fetch_without_any_line_takes_the_newest_release", &[], fetch::newest_release)
        .test("faults_of_the_proxy_are_named", &[], faults::of_the_proxy)
        .test("faults_in_the_zip_leave_nothing_behind", &[], faults::in_the_zip)
        .test("faults_of_the_database_and_the_lock", &[], faults::of_the_database)
        .test("faults_in_the_middle_of_a_download_are_overcome", &[], faults::in_the_middle)
        .test("faults_fall_through_the_list_as_it_says", &[], faults::fall_through)
        .test("faults_show_no_password", &[], faults::show_no_password)
        .test("real_toolchain_is_fetched_and_runs", &[], real::is_fetched_and_runs)
        .run()
}
