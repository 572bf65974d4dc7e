//! The real binary, as a user runs it: what it prints on each stream and what it ends with.

mod build;
mod cache;
mod cli;
mod conformance;
mod containers;
mod contexts;
mod crash;
mod dockerfile;
mod foreign;
mod guide;
mod image;
mod known;
mod limits;
mod ordinary;
mod outputs;
mod remote;
mod run;
mod rungs;
mod schema;
mod test;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    let suite = Suite::new();
    let suite = cli::add(suite);
    let suite = image::add(suite);
    let suite = build::add(suite);
    let suite = contexts::add(outputs::add(suite));
    let suite = crash::add(suite);
    let suite = dockerfile::add(suite);
    let suite = known::add(suite);
    let suite = cache::add(suite);
    let suite = remote::add(suite);
    let suite = guide::add(suite);
    let suite = rungs::add(suite);
    let suite = foreign::add(suite);
    let suite = limits::add(suite);
    let suite = ordinary::add(suite);
    let suite = conformance::add(test::add(containers::add(suite)));
    suite.run()
}
