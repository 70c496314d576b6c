//! The shape of deployment settings, with the spelling of every key on the wire.

/// What a value is, and so how it is read, merged and given out.
pub(super) enum Shape {
    Text,
    Bool,
    Integer,
    /// A Go duration.
    Duration,
    /// A git branch: a short name means `refs/heads/<name>`.
    Branch,
    /// A string that may be secret.
    Secret,
    /// A container image: a bare reference, or an object when it carries credentials.
    Image,
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// Environment variables: their names are data, not keys, so their case matters.
    Variables,
    Object(&'static [Field]),
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

const fn field(name: &'static str, shape: Shape) -> Field {
    Field { name, shape }
}

pub(crate) const OPERATIONS: [&str; 6] = ["update", "preview", "destroy", "refresh", "detect-drift", "remediate-drift"];

const TEXTS: Shape = Shape::List(&Shape::Text);

pub(super) static SETTINGS: Shape = Shape::Object(&[
    field("tag", Shape::Text),
    field("executorContext", Shape::Object(&EXECUTOR)),
    field("sourceContext", Shape::Object(&SOURCE)),
    field("gitHub", Shape::Object(&GITHUB)),
    field("vcs", Shape::Object(&VCS)),
    field("operationContext", Shape::Object(&OPERATION)),
    field("agentPoolID", Shape::Text),
    field("cacheOptions", Shape::Object(&[Field { name: "enable", shape: Shape::Bool }])),
]);

static EXECUTOR: [Field; 2] = [field("executorImage", Shape::Image), field("executorRootPath", Shape::Text)];

pub(super) static IMAGE: Shape = Shape::Object(&IMAGE_FIELDS);

static IMAGE_FIELDS: [Field; 2] =
    [field("reference", Shape::Text), field("credentials", Shape::Object(&IMAGE_CREDENTIALS))];

static IMAGE_CREDENTIALS: [Field; 2] = [field("username", Shape::Text), field("password", Shape::Secret)];

static SOURCE: [Field; 3] = [
    field("git", Shape::Object(&GIT)),
    field("hg", Shape::Object(&MERCURIAL)),
    field("template", Shape::Object(&TEMPLATE)),
];

static GIT: [Field; 6] = [
    field("repoUrl", Shape::Text),
    field("branch", Shape::Branch),
    field("repoDir", Shape::Text),
    field("commit", Shape::Text),
    field("tag", Shape::Text),
    field("gitAuth", Shape::Object(&GIT_AUTH)),
];

static MERCURIAL: [Field; 5] = [
    field("repoUrl", Shape::Text),
    field("branch", Shape::Text),
    field("repoDir", Shape::Text),
    field("revision", Shape::Text),
    field("hgAuth", Shape::Object(&GIT_AUTH)),
];

static TEMPLATE: [Field; 2] = [field("sourceUrl", Shape::Text), field("gitAuth", Shape::Object(&GIT_AUTH))];

static GIT_AUTH: [Field; 3] = [
    field("accessToken", Shape::Secret),
    field("sshAuth", Shape::Object(&SSH_AUTH)),
    field("basicAuth", Shape::Object(&BASIC_AUTH)),
];

static SSH_AUTH: [Field; 2] = [field("sshPrivateKey", Shape::Secret), field("password", Shape::Secret)];

static BASIC_AUTH: [Field; 2] = [field("userName", Shape::Secret), field("password", Shape::Secret)];

static GITHUB: [Field; 10] = [
    field("repository", Shape::Text),
    field("deployCommits", Shape::Bool),
    field("previewPullRequests", Shape::Bool),
    field("pullRequestTemplate", Shape::Bool),
    field("deployPullRequest", Shape::Integer),
    field("paths", TEXTS),
    field("installationId", Shape::Text),
    field("deployTags", Shape::Bool),
    field("tagFilters", TEXTS),
    field("reviewStackLabels", TEXTS),
];

static VCS: [Field; 11] = [
    field("provider", Shape::OneOf(&["azure_devops", "bitbucket", "custom", "github", "gitlab"])),
    field("repository", Shape::Text),
    field("deployCommits", Shape::Bool),
    field("previewPullRequests", Shape::Bool),
    field("pullRequestTemplate", Shape::Bool),
    field("deployPullRequest", Shape::Integer),
    field("paths", TEXTS),
    field("installationId", Shape::Text),
    field("deployTags", Shape::Bool),
    field("tagFilters", TEXTS),
    field("reviewStackLabels", TEXTS),
];

static OPERATION: [Field; 6] = [
    field("preRunCommands", TEXTS),
    field("environmentVariables", Shape::Variables),
    field("options", Shape::Object(&OPTIONS)),
    field("oidc", Shape::Object(&OIDC)),
    field("role", Shape::Object(&ROLE)),
    field("operation", Shape::OneOf(&OPERATIONS)),
];

static OPTIONS: [Field; 5] = [
    field("skipInstallDependencies", Shape::Bool),
    field("skipIntermediateDeployments", Shape::Bool),
    field("shell", Shape::Text),
    field("deleteAfterDestroy", Shape::Bool),
    field("remediateIfDriftDetected", Shape::Bool),
];

static ROLE: [Field; 3] =
    [field("id", Shape::Text), field("name", Shape::Text), field("defaultIdentifier", Shape::Text)];

static OIDC: [Field; 3] =
    [field("aws", Shape::Object(&AWS)), field("azure", Shape::Object(&AZURE)), field("gcp", Shape::Object(&GCP))];

static AWS: [Field; 4] = [
    field("roleArn", Shape::Text),
    field("sessionName", Shape::Text),
    field("duration", Shape::Duration),
    field("policyArns", TEXTS),
];

static AZURE: [Field; 3] =
    [field("clientId", Shape::Text), field("tenantId", Shape::Text), field("subscriptionId", Shape::Text)];

static GCP: [Field; 6] = [
    field("projectId", Shape::Text),
    field("region", Shape::Text),
    field("workloadPoolId", Shape::Text),
    field("providerId", Shape::Text),
    field("serviceAccount", Shape::Text),
    field("tokenLifetime", Shape::Duration),
];
