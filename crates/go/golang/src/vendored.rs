//! vendor/modules.txt: which modules and packages a vendor folder holds.
//!
//! Source: <https://go.dev/ref/mod#go-mod-vendor>, `cmd/go/internal/modload/vendor.go`.

use serde::Serialize;

use crate::error::{Problem, SyntaxError, SyntaxErrors};
use crate::gomod::Replacement;
use crate::module::is_folder;
use crate::version::GoVersion;

/// A parsed vendor/modules.txt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VendorModules {
    /// Whether it belongs to a workspace (`## workspace`).
    pub workspace: bool,
    /// The modules, those without packages included.
    pub modules: Vec<VendoredModule>,
}

/// A module of a vendor folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VendoredModule {
    /// Its path.
    pub path: String,
    /// Its version; empty for a replacement of all versions.
    pub version: String,
    /// What replaces it.
    pub replacement: Option<Replacement>,
    /// Whether go.mod asks for it by itself.
    pub explicit: bool,
    /// The `go` line of its go.mod.
    pub go: Option<GoVersion>,
    /// The packages that were copied.
    pub packages: Vec<String>,
    /// Its line, from 1.
    pub line: u32,
}

impl VendorModules {
    /// Reads a vendor/modules.txt.
    ///
    /// Errors: a package before the first module. Annotations that are not known are passed over, as Go does.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyntaxErrors> {
        let text = String::from_utf8_lossy(bytes);
        let mut file = VendorModules::default();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(annotations) = line.strip_prefix("## ") {
                file.annotate(annotations);
            } else if let Some(module) = line.strip_prefix("# ") {
                file.modules.extend(VendoredModule::parse(module, number));
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                let package = line.trim().to_owned();
                match file.modules.last_mut() {
                    Some(module) => module.packages.push(package),
                    None => {
                        let problem = Problem::VendorPackage(package);
                        return Err(SyntaxError { line: number, column: 1, problem }.into());
                    }
                }
            }
        }
        Ok(file)
    }

    /// The module that the package of an import path was copied from.
    pub fn module_of(&self, package: &str) -> Option<&VendoredModule> {
        self.modules.iter().find(|module| module.packages.iter().any(|known| known == package))
    }

    fn annotate(&mut self, annotations: &str) {
        for annotation in annotations.split(';').map(str::trim) {
            match (annotation, self.modules.last_mut()) {
                ("workspace", _) => self.workspace = true,
                ("explicit", Some(module)) => module.explicit = true,
                (text, Some(module)) => {
                    if let Some(version) = text.strip_prefix("go ") {
                        module.go = version.trim().parse().ok();
                    }
                }
                _ => {}
            }
        }
    }
}

impl VendoredModule {
    fn parse(text: &str, line: u32) -> Option<Self> {
        let (module, replacement) = match text.split_once("=>") {
            Some((module, replacement)) => (module, Some(replacement)),
            None => (text, None),
        };
        let mut words = module.split_whitespace();
        let path = words.next()?.to_owned();
        let version = words.next().unwrap_or_default().to_owned();
        let replacement = replacement.and_then(|text| {
            let mut words = text.split_whitespace();
            let path = words.next()?.to_owned();
            Some(match words.next() {
                None => Replacement::Folder(path),
                Some(_) if is_folder(&path) => Replacement::Folder(path),
                Some(version) => Replacement::Module { path, version: version.to_owned() },
            })
        });
        Some(VendoredModule { path, version, replacement, line, ..VendoredModule::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_packages_and_replacements_are_read() {
        let text = "## workspace\n# a.b/c v1.2.3\n## explicit; go 1.21\na.b/c\na.b/c/sub\n# a.b/d v1.0.0 => ../d\n## explicit\n\
                    a.b/d\n# a.b/e => x.y/e v2.0.0\n";
        let file = VendorModules::parse(text.as_bytes()).unwrap();
        assert!(file.workspace);
        let paths: Vec<_> = file.modules.iter().map(|module| (module.path.as_str(), module.line)).collect();
        assert_eq!(paths, [("a.b/c", 2), ("a.b/d", 6), ("a.b/e", 9)]);
        assert_eq!(file.modules[0].packages, ["a.b/c", "a.b/c/sub"]);
        assert_eq!(file.modules[0].go, "1.21".parse().ok());
        assert_eq!(file.modules[1].replacement, Some(Replacement::Folder("../d".into())));
        assert_eq!(
            file.modules[2].replacement,
            Some(Replacement::Module { path: "x.y/e".into(), version: "v2.0.0".into() })
        );
        assert_eq!(file.module_of("a.b/c/sub").unwrap().version, "v1.2.3");
    }

    #[test]
    fn a_package_without_module_is_named() {
        let error = VendorModules::parse(b"a.b/c\n").unwrap_err();
        assert_eq!(error.to_string(), "1:1: malformed modules.txt: package a.b/c belongs to no module");
    }
}
