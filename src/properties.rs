//! How hard property tests try.

use proptest::prelude::ProptestConfig;

/// So many cases, unless the environment variable `PROPTEST_CASES` asks for another number. (A number in a
/// configuration otherwise wins over the variable.)
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default()
    } else {
        ProptestConfig::with_cases(cases)
    }
}
