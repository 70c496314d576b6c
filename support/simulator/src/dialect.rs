//! The two dialects of the API: today's routes, and the deprecated ones below `/api/preview`.

/// Which routes for deployments a simulator offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Today's routes, and the deprecated ones.
    #[default]
    Both,
    /// Today's routes alone, as the service announced it.
    StacksOnly,
    /// The deprecated routes alone, as an old installation has them: nothing of today's for deployments, schedules,
    /// drift and agent pools is there.
    PreviewOnly,
}

impl Dialect {
    /// Whether a route with this path exists.
    pub(crate) fn offers(self, path: &str) -> bool {
        let is_preview = path.starts_with("/api/preview/");
        let is_of_today =
            !is_preview && ["/deployments", "/drift/", "/agent-pools"].iter().any(|part| path.contains(part));
        match self {
            Self::Both => true,
            Self::StacksOnly => !is_preview,
            Self::PreviewOnly => !is_of_today,
        }
    }
}
