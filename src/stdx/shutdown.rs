//! The shutdown tree: a parent's stop reaches every child, and a room can be waited for until
//! all that it spawned has ended. `serve/` stops its branches in reverse order of their start.

use std::future::Future;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One branch of the tree. Cloning gives another handle to the same branch.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A root.
    pub fn new() -> Self {
        Self::default()
    }

    /// A branch that stops when this one does, or earlier by itself.
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            tasks: TaskTracker::new(),
        }
    }

    /// Runs `task` as part of this branch. The task itself must watch [`Shutdown::stopped`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Runs `task` as part of this branch; it is dropped where it stands when the branch stops.
    pub fn spawn_until_stopped<F>(&self, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = task => {}
            }
        })
    }

    /// Resolves when the branch is told to stop.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Whether the branch has been told to stop.
    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Tells the branch and its children to stop; does not wait.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Waits until all that this branch itself spawned has ended. Call after [`Shutdown::stop`].
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
