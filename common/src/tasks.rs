//! Structured concurrency: the only file of the workspace that spawns tasks.
//!
//! Whoever spawns joins. The first error cancels the set's token, so that the other tasks stop claiming work;
//! a panic is an error like any other. Dropping the set aborts what is left.

use std::fmt;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A task that ended without a result of its own.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    /// A defect in this program. The panic's own message is on stderr.
    #[error("a task panicked: this is a defect of the program")]
    Panicked,
    /// The runtime is going down.
    #[error("a task was aborted")]
    Aborted,
}

/// A group of tasks that succeed or fail together.
pub struct TaskSet<E> {
    tasks: JoinSet<Result<(), E>>,
    token: CancellationToken,
}

impl<E: From<TaskFailure> + Send + 'static> TaskSet<E> {
    /// Spawns `task` into the set.
    pub fn spawn(&mut self, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until every task has ended; returns the first error, after which the others were asked to stop.
    pub async fn join(&mut self) -> Result<(), E> {
        let mut first_error = None;
        while let Some(outcome) = self.tasks.join_next().await {
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) if error.is_panic() => Err(TaskFailure::Panicked.into()),
                Err(_) => Err(TaskFailure::Aborted.into()),
            };
            if let Err(error) = outcome {
                self.token.cancel();
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl<E: 'static> TaskSet<E> {
    /// An empty set whose tasks stop when `parent` is cancelled, without being able to cancel it.
    pub fn new(parent: &CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), token: parent.child_token() }
    }

    /// The token that tasks of this set watch between one piece of work and the next.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl<E> fmt::Debug for TaskSet<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TaskSet").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

/// A task that serves others until it is dropped, for example the driver of a connection.
#[derive(Debug)]
pub struct Background {
    tasks: JoinSet<()>,
}

impl Background {
    /// Spawns `task`; it is aborted when the value is dropped.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        Self { tasks }
    }

    /// Waits until the task has ended of its own accord.
    pub async fn finished(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Work that was begun and whose result is wanted later. Dropping it aborts the work.
#[derive(Debug)]
pub struct Begun<T> {
    tasks: JoinSet<T>,
}

impl<T: Send + 'static> Begun<T> {
    /// Begins `work` as a task of its own, so that it may use another core.
    pub fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        Self { tasks }
    }

    /// Waits for its result.
    pub async fn finish(mut self) -> Result<T, TaskFailure> {
        match self.tasks.join_next().await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) if error.is_panic() => Err(TaskFailure::Panicked),
            _ => Err(TaskFailure::Aborted),
        }
    }
}

/// Runs `work` as a task of its own, so that it may use another core, and waits for it. Dropping the returned future
/// aborts the task.
pub async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, TaskFailure> {
    Begun::spawn(work).finish().await
}

/// Runs `work` on a thread where blocking and long computation are allowed.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TaskFailure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| if error.is_panic() { TaskFailure::Panicked } else { TaskFailure::Aborted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Failure {
        Task,
        Own,
    }

    impl From<TaskFailure> for Failure {
        fn from(_: TaskFailure) -> Self {
            Self::Task
        }
    }

    #[tokio::test]
    async fn the_first_error_stops_the_others() {
        let parent = CancellationToken::new();
        let mut set = TaskSet::new(&parent);
        let token = set.token();
        set.spawn(async move {
            token.cancelled().await;
            Ok(())
        });
        set.spawn(async { Err(Failure::Own) });
        assert_eq!(set.join().await, Err(Failure::Own));
        assert!(!parent.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let mut set = TaskSet::<Failure>::new(&CancellationToken::new());
        set.spawn(async { panic!("expected by this test") });
        assert_eq!(set.join().await, Err(Failure::Task));
    }
}
