//! What comes from elsewhere, by ADD and as contexts: web servers, git repositories, archives. Servers are real ones on this machine.

mod archives;
mod contexts;
mod git;
mod web;
mod workshop;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    let suite = web::add(Suite::new());
    let suite = git::add(suite);
    let suite = contexts::add(suite);
    archives::add(suite).run()
}
