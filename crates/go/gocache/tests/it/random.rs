//! Edits at random: a project of a few packages whose files change, come, go and change places.

use longshore_testkit::{Stop, TestResult};

use crate::bench::{Bench, Toolchain};
use crate::special::GUIDE;

/// A generator of numbers that gives the same ones every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

const PACKAGES: [&str; 4] = ["a", "b", "c", "d"];

fn write_main(bench: &Bench, numbers: &mut Numbers) -> TestResult {
    let (first, second) =
        (PACKAGES[usize::try_from(numbers.below(4))?], PACKAGES[usize::try_from(numbers.below(4))?]);
    let imports = if first == second {
        format!("import x \"example.com/shop/{first}\"\n\nvar y = x.Value()\n")
    } else {
        format!(
            "import x \"example.com/shop/{first}\"\nimport z \"example.com/shop/{second}\"\n\nvar y = z.Value()\n"
        )
    };
    bench
        .write("main.go", &format!("package main\n\n{imports}\nfunc main() {{ println(x.Value(), y) }}\n"))
        .map_err(|_| Stop::failed("main.go cannot be written"))
}

fn write_package(bench: &Bench, name: &str, numbers: &mut Numbers) -> TestResult {
    let (one, two) = (numbers.below(10), numbers.below(10));
    let tag = if numbers.below(2) == 0 { "amd64" } else { "never" };
    let text = format!(
        "package {name}\n\nvar value = {one}\n\nfunc Value() int {{ return value + raw() }}\n\nfunc raw() int\n"
    );
    bench.write(&format!("{name}/{name}.go"), &text)?;
    bench.write(
        &format!("{name}/tag.go"),
        &format!("//go:build {tag}\n\npackage {name}\n\nfunc init() {{ value = {two} }}\n"),
    )?;
    let header = if numbers.below(2) == 0 { "../common/v.h" } else { "own.h" };
    let assembly = format!(
        "#include \"textflag.h\"\n#include \"{header}\"\n\nTEXT ·raw(SB), NOSPLIT, $0-8\n\tMOVQ $VALUE, AX\n\tMOVQ AX, ret+0(FP)\n\tRET\n"
    );
    bench.write(&format!("{name}/raw_amd64.s"), &assembly)?;
    bench.write(&format!("{name}/own.h"), &format!("#define VALUE {one}\n"))
}

/// Builds after each of forty edits.
pub(crate) fn run(seed: u64) -> TestResult {
    let bench = Bench::new(if seed.is_multiple_of(2) { Toolchain::Installed } else { Toolchain::Old })?;
    let mut numbers = Numbers(seed * 2_654_435_761 + 88_172_645_463_325_252);
    bench.write("go.mod", "module example.com/shop\n\ngo 1.21\n")?;
    bench.write("common/v.h", "#define VALUE 5\n")?;
    for name in PACKAGES {
        write_package(&bench, name, &mut numbers)?;
    }
    write_main(&bench, &mut numbers)?;
    for _ in 0..40 {
        match numbers.below(4) {
            0 => write_main(&bench, &mut numbers)?,
            1 => bench.write("common/v.h", &format!("#define VALUE {}\n", numbers.below(10)))?,
            _ => write_package(&bench, PACKAGES[usize::try_from(numbers.below(4))?], &mut numbers)?,
        }
        let trimmed = ["build", "-a", "-trimpath", "-o", "main", "."];
        bench.build(if numbers.below(2) == 0 { GUIDE } else { &trimmed })?;
    }
    Ok(())
}
