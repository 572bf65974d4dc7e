//! One isolated process, by the best means that the machine allows.
