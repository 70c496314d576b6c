//! What is known about a stack's drift.

use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{Drift, DriftRun, Page};

impl Client {
    /// `GetDriftStatus`: whether the latest detection found drift.
    pub async fn drift_status(&self, permit: &mut Permit, stack: &StackId) -> Result<Drift, Error> {
        self.transport.fetch(permit, Call::get("GetDriftStatus", Route::drift(stack, &["status"]))).await
    }

    /// `ListDriftRuns`: a page of the stack's detections, counted from 1, of 1 to 100 each.
    pub async fn list_drift_runs(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        page: u32,
        page_size: u32,
    ) -> Result<Page<DriftRun>, Error> {
        let query = vec![("page", page.to_string()), ("pageSize", page_size.to_string())];
        let call = Call { query, ..Call::get("ListDriftRuns", Route::drift(stack, &["runs"])) };
        self.transport.fetch(permit, call).await
    }

    /// `GetDriftRun`: a detection by its id.
    pub async fn drift_run(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<DriftRun, Error> {
        self.transport.fetch(permit, Call::get("GetDriftRun", Route::drift(stack, &["runs", id]))).await
    }
}
