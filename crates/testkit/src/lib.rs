//! Fixtures, real peers and faults for longshore's tests.
