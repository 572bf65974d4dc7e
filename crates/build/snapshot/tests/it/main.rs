//! Snapshots against the kernel's overlay, against plain folders, and against what unpacks images elsewhere.

mod facts;
mod hostile;
mod imports;
mod layers;
mod operations;
mod outputs;
mod random;
mod rules;
mod tars;
mod views;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    random::add(rules::add(views::add(layers::add(imports::add(outputs::add(hostile::add(Suite::new())))))))
        .run()
}
