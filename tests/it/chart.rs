//! The Helm chart: a real Helm puts it into a real control plane, and the operator works with the rights that it gives.
//!
//! There is no kubelet, so the chart's pod never runs. What is known of it is that the API server accepts the
//! Deployment, that the restricted Pod Security profile accepts its pod, and that the operator works as a process that
//! is run with the Deployment's arguments and the ServiceAccount's token.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is not seen as a test")]

mod authorities;
mod beside;
mod guides;
mod helm;
mod lifecycle;
mod operator;
mod readme;
mod rendering;
mod rights;
mod story;

/// The chart, as it is named in a command that is run in the repository's root.
const CHART: &str = "charts/pulumi-deployments-operator";
/// The release, and with it the ServiceAccount, the Deployment and the roles.
const RELEASE: &str = "pulumi-deployments-operator";
/// The namespace of the release.
const NAMESPACE: &str = "pulumi-deployments";
/// An image that nobody pulls.
const IMAGE: &str = "image.repository=registry.example.com/pulumi-deployments-operator";
