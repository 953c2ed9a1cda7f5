//! Another device brings the account to this browser: the code, the words.

use askama::Template;

use crate::model::Join;
use crate::model::join::Stage;

/// The page, without what changes.
#[derive(Template)]
#[template(path = "join.html")]
pub(super) struct Frame;

/// What is to be done now.
#[derive(Template)]
#[template(path = "join_stage.html")]
pub(super) struct StageOf<'a> {
    pub(super) stage: &'a Stage,
}

/// The button under the words, and what went wrong.
#[derive(Template)]
#[template(path = "join_status.html")]
pub(super) struct Status<'a> {
    pub(super) join: &'a Join,
}
