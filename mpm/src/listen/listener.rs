//! One listener: what its socket is told, how many wait in its queue, and who ends it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};

use herdgate_sys as sys;
use socket2::Socket;
use sys::net::ListenQueue;
use sys::process::Pid;

use super::Remark;
use super::spec::{Address, ListenOptions, ListenSpec};
use super::unix::{self, FileId};

/// How long the kernel holds a connection back that has not sent anything, `AcceptFilter`: as Apache.
const WAIT_FOR_DATA_SECS: u32 = 30;

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Socket,
    pub(super) address: Address,
    pub(super) duty: Duty,
}

/// Who ends the listening for all processes that share the socket, and removes its file: the supervisor, by dropping the
/// listener. Children never do, and nobody does it to sockets that were lent to us.
#[derive(Debug)]
pub(super) struct Duty {
    /// Its pid: first of who made the listener, then of who supervises, which is another process in the background.
    pub(super) keeper: AtomicI32,
    pub(super) is_ours: AtomicBool,
    pub(super) file: Option<FileId>,
    /// Who lent it, in words.
    pub(super) lender: Option<String>,
}

impl Listener {
    pub(super) fn new(socket: Socket, address: Address, file: Option<FileId>) -> Self {
        let is_ours = AtomicBool::new(true);
        let keeper = AtomicI32::new(Pid::this().as_raw());
        let duty = Duty { keeper, is_ours, file, lender: None };
        Self { socket, address, duty }
    }

    /// The address that it is bound to, with the real port.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections wait to be accepted, and how many may.
    ///
    /// # Errors
    /// `EOPNOTSUPP`: the kernel does not tell for a socket file.
    pub fn queue(&self) -> io::Result<ListenQueue> {
        sys::net::listen_queue(self.as_fd())
    }

    /// Who has lent it to us, such as systemd, and under what name. Nobody, for a socket of our own.
    #[must_use]
    pub fn lender(&self) -> Option<&str> {
        self.duty.lender.as_deref()
    }

    pub(super) fn is_ours(&self) -> bool {
        self.duty.is_ours.load(Relaxed)
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.address.inet().is_some()
    }

    /// Ends the listening for all, if that is for us to do. Once.
    pub(super) fn close(&self) {
        let is_on_duty = self.duty.keeper.load(Relaxed) == Pid::this().as_raw();
        if !is_on_duty || !self.duty.is_ours.swap(false, Relaxed) {
            return;
        }
        if let (Some(path), Some(file)) = (self.address.path(), self.duty.file) {
            unix::remove(path, file);
        }
        // Children that finish hold it open still: without this, clients would wait in a queue that nobody empties.
        let _ = sys::net::stop_listening(self.as_fd());
    }

    /// See [`Listeners::close_the_queue`](super::Listeners::close_the_queue).
    pub(crate) fn close_the_queue(&self) {
        if !self.is_ours() {
            return; // Whoever has lent it goes on with it.
        }
        if !self.is_tcp() || sys::net::drop_new_handshakes(self.as_fd()).is_err() {
            // listen(2) again only changes the queue's length; a socket that refuses keeps the one it has.
            let _ = self.socket.listen(0);
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue().map_or(0, |queue| queue.waiting) == 0
    }

    /// Sets what may change from one generation to the next.
    pub(super) fn apply(
        &self,
        spec: &ListenSpec,
        options: &ListenOptions,
        remarks: &mut Vec<Remark>,
    ) -> io::Result<()> {
        for (bytes, directive, set) in [
            (options.send_buffer, "SendBufferSize", Socket::set_send_buffer_size as SetSize),
            (options.receive_buffer, "ReceiveBufferSize", Socket::set_recv_buffer_size),
        ] {
            if let Some(Err(error)) = bytes.map(|bytes| set(&self.socket, bytes)) {
                remarks.push(Remark::BufferSize { directive, error });
            }
        }
        if self.is_tcp() {
            let secs = if spec.wait_for_data { WAIT_FOR_DATA_SECS } else { 0 };
            sys::net::set_defer_accept(self.as_fd(), secs)?;
        }
        if let (Some(path), Some(file), None) = (self.address.path(), self.duty.file, self.lender())
            && FileId::of(path).is_ok_and(|present| present == file)
        {
            unix::set_access(path, spec.access)?;
        }
        // Said again for a kept socket: its queue takes the new length.
        self.socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        if let Ok(ListenQueue { limit, .. }) = self.queue()
            && limit < options.backlog
        {
            remarks.push(Remark::BacklogCut { asked: options.backlog, limit });
        }
        Ok(())
    }
}

type SetSize = fn(&Socket, usize) -> io::Result<()>;

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
