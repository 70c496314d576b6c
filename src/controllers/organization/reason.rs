//! Pure: the one list of reasons of this kind.

use strum::VariantNames;

/// Why an organization stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, VariantNames)]
pub enum Reason {
    /// The service accepts the token.
    Connected,
    /// Nothing is written remotely.
    Suspended,
    /// The operator's `--allowed-backend` list does not have the backend.
    BackendNotAllowed,
    /// The Secret or its key is not there, or the ServiceAccount.
    TokenMissing,
    /// Kubernetes gives no token for the ServiceAccount, for a reason that may pass.
    TokenRequestFailed,
    /// The operator may not request tokens for the ServiceAccount.
    TokenRequestForbidden,
    /// The service gives no access token for the ServiceAccount's identity.
    TokenExchangeRefused,
    /// It is being deleted and still needed.
    InUse,
    /// The request budget has no room.
    AwaitingBudget,
    /// Its runs can't be followed as they should be.
    Degraded,
}
