//! # Listeners: bound once by the supervisor, before any fork, and shared by all children and generations
//!
//! ```text
//!                    bucket 0   bucket 1  …      draining
//!   Listen 80        socket     socket    …      socket: of a bucket that a reload has removed
//!   Listen 443       socket     socket    …
//!   Listen unix:/s   socket ◀── the same
//!                      │          │                │
//!                children 0,2 …  1,3 …         children of bucket 0 as well
//! ```
//!
//! - Always non-blocking: O_NONBLOCK belongs to the open file, which all processes share, so it is set once and never
//!   changed. Close-on-exec from birth.
//! - A reload keeps the socket of every place that stays, so that its queue of connections is not touched.
//! - A socket that was lent to us and that no line asks for any more stays open, unused: a later reload can take it up.
//! - The sockets of one address form a group (SO_REUSEPORT), and the kernel puts each new connection into the queue of
//!   one of them. Who sees which socket is decided by [`Listeners::bucket`].
//! - Nobody else can join: a second server on the same port fails to start, as it should. The first socket of an address
//!   is bound without SO_REUSEPORT, and has it only from then on, and only while there are more.
//! - A reload that removes a bucket loses nobody: see [`buckets`].

mod bind;
mod buckets;
mod inherited;
mod listener;
mod overflow;
mod remark;
mod spec;
#[cfg(test)]
mod tests;
mod unix;

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use herdgate_sys as sys;
use sys::process::Pid;

pub use inherited::InheritError;
pub(crate) use inherited::take as take_variable;
pub use listener::Listener;
pub(crate) use overflow::Overflow;
pub use remark::{BindError, Remark};
pub use spec::{Address, FileAccess, ListenOptions, ListenSpec, Place};

use buckets::{Line, Member};

/// A listener's place among those that a child sees: first one for each `Listen` line, in their order, then those that
/// are draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

impl ListenerId {
    /// Stands for whichever listener of the [`Overflow`] is ready.
    pub(crate) const OVERFLOW: Self = Self(u16::MAX);
}

/// One generation's listeners, as one bucket's children see them. Cheap to clone: the sockets are shared.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    all: Arc<All>,
    bucket: usize,
}

#[derive(Debug, Default)]
struct All {
    lines: Vec<Line>,
    /// Lent to us, and no line asks for them any more. A later one may: we could not get them again.
    unclaimed: Vec<Line>,
    draining: Vec<Arc<Listener>>,
    buckets: usize,
    remarks: Vec<Remark>,
}

impl Listeners {
    /// Opens all places, taking over what `former` has already, and listens. Nothing is left behind on failure. What is
    /// no failure but should be known is in [`remarks`](Self::remarks).
    ///
    /// # Errors
    /// The first place that cannot be had, with its name and the reason. socket(2), bind(2), listen(2).
    pub fn bind(
        specs: &[ListenSpec],
        options: impl Into<ListenOptions>,
        former: &Self,
    ) -> Result<Self, BindError> {
        let options = options.into();
        let mut taken = vec![false; former.known().count()];
        let kept: Vec<Option<&Line>> =
            specs.iter().map(|spec| former.find(&spec.place, &mut taken)).collect();
        let mut remarks = Vec::new();
        let mut lines: Vec<Option<Line>> = specs.iter().map(|_| None).collect();
        // First what may well fail: the sockets that are kept are in use, and stay as they are until the others are had.
        let mut order: Vec<usize> = (0..specs.len()).collect();
        order.sort_by_key(|number| kept[*number].is_some());
        for number in order {
            let spec = &specs[number];
            let line = Line::open(spec, kept[number], &options, &mut remarks)
                .map_err(|source| BindError { spec: spec.clone(), source })?;
            lines[number] = Some(line);
        }
        let unclaimed: Vec<Line> = former
            .known()
            .zip(taken)
            .filter(|(_, taken)| !taken)
            .filter_map(|(line, _)| line.as_it_was_lent())
            .collect();
        remarks.extend(unclaimed.iter().map(Line::remark_unclaimed));
        let lines = lines.into_iter().flatten().collect();
        Ok(Self::of_lines(lines, unclaimed, remarks))
    }

    fn of_lines(lines: Vec<Line>, unclaimed: Vec<Line>, mut remarks: Vec<Remark>) -> Self {
        // Each socket of a group says the same.
        let mut said = HashSet::new();
        remarks.retain(|remark| said.insert(remark.to_string()));
        let draining = lines.iter().flat_map(|line| &line.sockets[line.live..]);
        let draining = draining.map(|member| Arc::clone(&member.listener)).collect();
        let buckets = lines.iter().map(|line| line.live).max().unwrap_or(1);
        Self { all: Arc::new(All { lines, unclaimed, draining, buckets, remarks }), bucket: 0 }
    }

    /// The line that has this place already. A second line with port 0 wants a port of its own, not the first one's.
    fn find(&self, place: &Place, taken: &mut [bool]) -> Option<&Line> {
        let free = || self.known().enumerate().filter(|(number, _)| !taken[*number]);
        let same = free().find(|(_, line)| line.place == *place);
        let (number, line) = same.or_else(|| {
            free().find(|(_, line)| line.is_lent() && place.is_met_by(&line.first().address))
        })?;
        taken[number] = true;
        Some(line)
    }

    /// All lines that a later generation may take up.
    fn known(&self) -> impl Iterator<Item = &Line> {
        self.all.lines.iter().chain(&self.all.unclaimed)
    }

    /// A new generation begins, in the process that calls: new connections are dealt to its buckets. What only the
    /// former one had is left to [`close_others`](Self::close_others).
    pub(crate) fn take_effect(&self) {
        self.all.lines.iter().for_each(Line::take_effect);
        let supervisor = Pid::this().as_raw();
        self.sockets().for_each(|listener| listener.duty.keeper.store(supervisor, Relaxed));
    }

    /// Ends the listening of what `former` had, and we have not.
    pub(crate) fn close_others(&self, former: &Self) {
        former.without(self).for_each(Listener::close);
    }

    /// What should be known.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.all.remarks
    }

    /// How many buckets there are.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.all.buckets.max(1)
    }

    /// What the children of one bucket see; numbers beyond the last bucket begin again. A place that has no sockets of
    /// its own for each bucket is shared.
    #[must_use]
    pub fn bucket(&self, number: usize) -> Self {
        Self { all: Arc::clone(&self.all), bucket: number % self.buckets() }
    }

    /// The listeners that this bucket sees.
    pub fn iter(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        (0_u16..).map(ListenerId).zip((0..self.len()).map(|number| self.nth(number)))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: ListenerId) -> &Listener {
        self.nth(id.0.into())
    }

    /// The listeners that this bucket does not share with all others.
    fn own(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        let is_own =
            |id: ListenerId| self.all.lines.get(usize::from(id.0)).is_none_or(|line| line.live > 1);
        self.iter().filter(move |(id, _)| is_own(*id))
    }

    fn nth(&self, number: usize) -> &Listener {
        self.nth_of(self.bucket, number)
    }

    fn nth_of(&self, bucket: usize, number: usize) -> &Listener {
        match self.all.lines.get(number) {
            Some(line) => &line.sockets[bucket % line.live].listener,
            None => &self.all.draining[number - self.all.lines.len()],
        }
    }

    /// How many this bucket sees.
    #[must_use]
    pub fn len(&self) -> usize {
        let draining = if self.bucket == 0 { self.all.draining.len() } else { 0 };
        self.all.lines.len() + draining
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every socket of every bucket, line by line.
    pub fn sockets(&self) -> impl Iterator<Item = &Listener> {
        self.members().map(|member| &*member.listener)
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.all.lines.iter().flat_map(|line| &line.sockets)
    }

    /// Which of these sockets `others` do not have.
    pub fn without<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = &'a Listener> {
        let has = |listener| others.sockets().any(|other| std::ptr::eq(other, listener));
        self.sockets().filter(move |listener| !has(*listener))
    }

    /// Lets no further connections into the queues; what is in them can still be accepted. A client that comes now
    /// tries again after a second, and is refused then. There is no way back.
    pub(crate) fn close_the_queue(&self) {
        self.sockets().for_each(Listener::close_the_queue);
    }

    /// Whether nobody waits in any queue, so far as the kernel tells.
    pub(crate) fn are_drained(&self) -> bool {
        self.sockets().all(Listener::is_drained)
    }

    /// Ends the listening, for children too, and removes socket files. What still waits in a queue is reset.
    pub(crate) fn close(&self) {
        self.sockets().for_each(Listener::close);
    }

    /// Another process has taken them over: nothing of them is ended or removed by us.
    pub(crate) fn let_go(&self) {
        self.sockets().for_each(|listener| listener.duty.is_ours.store(false, Relaxed));
    }

    /// Closes them in this process only: a child's that accepts no more, and that nobody supervises any more.
    pub(crate) fn let_go_here(&self) {
        for listener in self.sockets() {
            let _ = sys::net::let_go(listener.as_fd()); // Open until this child ends, then.
        }
    }

    /// They have become ours, but for those that somebody has only lent.
    pub(crate) fn take_over(&self) {
        for listener in self.sockets().filter(|listener| listener.lender().is_none()) {
            listener.duty.is_ours.store(true, Relaxed);
        }
    }
}
