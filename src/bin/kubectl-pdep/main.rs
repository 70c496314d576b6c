//! `kubectl pdep`: the Pulumi Deployments operator's resources, for people at a terminal.
//!
//! ```text
//!   cli ──► commands ──reads──► cluster (Kubernetes), service (Pulumi Cloud) ──► render (pure) ──► output
//! ```
//!
//! * [`cli`]: what can be written behind `kubectl pdep`.
//! * [`commands`]: one file per command. They read, decide, write, and print what [`render`] makes of it.
//! * [`cluster`]: the custom resources, read as they are stored, so that a field that this program does not know is
//!   shown all the same; [`later`]: fields that are read without a type.
//! * [`service`]: Pulumi Cloud, with whose token, and which backends a token is sent to.
//! * [`render`]: objects → text. Pure.
//! * [`complete`]: what kubectl offers when somebody presses Tab.
//! * [`failure`]: what can go wrong, as one sentence that says what to do.

mod cli;
mod cluster;
mod commands;
mod complete;
mod failure;
mod later;
mod output;
mod render;
mod screen;
mod service;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use crate::{cli::Cli, output::Paint};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // kube and reqwest would each choose a provider of their own, and then neither can build a client. There is none
    // yet, so it can't fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from);
    if program.as_deref().and_then(Path::file_stem).is_some_and(|name| name == complete::PROGRAM) {
        print!("{}", complete::answer(words.collect()).await);
        return ExitCode::SUCCESS;
    }
    match commands::run(Cli::parse()).await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{} {failure}", Paint::of_stderr().bad("error:"));
            ExitCode::FAILURE
        }
    }
}
