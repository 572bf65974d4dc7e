//! What users download: its size, and whether it needs anything of the machine.

use super::Bench;
use super::report::{Row, mebibytes};
use crate::command::{Result, command, context, output};

/// 16 MB, in bytes.
const LIMIT: u64 = 16_000_000;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let size = std::fs::metadata(&bench.longshore).map_err(context("cannot measure the binary"))?.len();
    let headers = output(command("readelf").args(["-lW"]).arg(&bench.longshore))?;
    // What a dynamic linker is asked for stands in these two kinds of program headers (elf(5)).
    let interpreter = headers.contains("INTERP");
    let libraries = output(command("readelf").arg("-dW").arg(&bench.longshore))?.contains("(NEEDED)");
    let kind = if interpreter || libraries { "needs a dynamic linker" } else { "static" };
    Ok(vec![
        Row::figure(
            "size",
            format!("{:.1} MB ({})", size as f64 / 1e6, mebibytes(size)),
            "at most 16 MB",
            size <= LIMIT,
        ),
        Row::figure("linkage", kind, "static", kind == "static"),
    ])
}
