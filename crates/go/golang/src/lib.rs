//! Go versions; go.mod, go.sum and go.work; build constraints.
//!
//! Everything here is pure: bytes in, values or errors with line and column out. Where Go's own tools decide something, its
//! source is the reference and is named in the module that follows it.

pub mod constraint;
pub mod error;
pub mod gomod;
pub mod gosum;
pub mod gotoolchain;
pub mod gowork;
mod lines;
pub mod module;
pub mod vendored;
pub mod version;

pub use constraint::{BuildContext, Constraint, ConstraintError, FileConstraint};
pub use error::{Problem, SyntaxError, SyntaxErrors};
pub use gomod::{GoMod, Located, Replace, Replacement, Require};
pub use gosum::GoSum;
pub use gotoolchain::{GoToolchain, SelectedBy, Selection, Switching, ToolchainLine, ToolchainLines};
pub use gowork::GoWork;
pub use lines::unescape as unescape_string;
pub use vendored::{VendorModules, VendoredModule};
pub use version::{GoVersion, ToolchainName, VersionError};
