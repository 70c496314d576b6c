//! How fast calls may be made, and which go first.

/// How many requests one token may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests per second in the long run. Values that make no sense are raised to 0.01.
    pub per_second: f64,
    /// How many requests may be made at once after a pause. 0 counts as 1.
    pub burst: u32,
}

impl Default for Rate {
    /// 10 per second, 20 at once.
    fn default() -> Self {
        Self { per_second: 10.0, burst: 20 }
    }
}

impl Rate {
    /// The lower of two rates, in both respects.
    pub(super) fn lowest(self, other: Self) -> Self {
        Self { per_second: self.per_second.min(other.per_second), burst: self.burst.min(other.burst) }
    }

    /// The same rate within bounds that can be calculated with.
    pub(super) fn sane(self) -> Self {
        let per_second = if self.per_second.is_nan() { 0.0 } else { self.per_second };
        Self { per_second: per_second.clamp(0.01, 1e9), burst: self.burst.max(1) }
    }
}

/// What a call is for, in order of priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallClass {
    /// Stopping a run.
    Cancel,
    /// Everything that starts or changes something, and the reads needed for it.
    Create,
    /// Following runs. While others wait too it gets at least 30 % of all units.
    Observe,
    /// Comparing what is remote with what it should be. While others wait too it gets at least 10 % of all units.
    Drift,
}

impl CallClass {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Cancel, Self::Create, Self::Observe, Self::Drift];

    /// The name, for metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Create => "create",
            Self::Observe => "observe",
            Self::Drift => "drift",
        }
    }

    /// The share of all units that it gets at least, while it has waiters.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Cancel | Self::Create => 0.0,
            Self::Observe => 0.3,
            Self::Drift => 0.1,
        }
    }
}
