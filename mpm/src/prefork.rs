//! # prefork: one process, one connection
//!
//! ```text
//!   supervisor ──fork──▶ child:  gate ─▶ wait ─▶ accept ─▶ leave the gate ─▶ serve to the end ─▶ again
//!        │                                                  │
//!        └──── pipe, whose end of file says "finish" ───────┴── looked at in every wait
//! ```
//!
//! - The process waits for its one client, by poll(2), and for nobody else: a slow client costs a whole process.
//! - No thread, no lock, nothing shared but the scoreboard: what crashes takes one connection along.
//! - A child that has had its share of connections (`MaxConnectionsPerChild`) ends, and so gives back what it leaked.

use std::io;

use crate::admission::{Admission, Admitted};
use crate::child::{Child, Exit};
use crate::scoreboard::State;
use crate::{Moment, Service, drive};

pub(crate) fn child_main<S: Service>(child: &Child<'_, S>) -> io::Result<Exit> {
    let mut worker = child.worker(0);
    let mut admission = Admission::new(child)?;
    while !child.has_served_enough() {
        worker.slot.set_state(State::Ready, Moment::now());
        match admission.next()? {
            Admitted::Connection(new) => {
                child.take_worker(worker.slot);
                drive::serve_to_end(child, &mut worker, new);
                child.give_worker_back();
            }
            Admitted::Finish => break,
            Admitted::Shortage(error) => child.wait_out_shortage(&error),
        }
    }
    child.retire();
    worker.slot.set_state(State::Graceful, Moment::now());
    Ok(Exit::Finished)
}
