//! Listeners as a supervisor has them: bound, kept, divided into buckets, given up and handed on.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::*;
use crate::Moment;

fn loopback(port: u16) -> ListenSpec {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
}

fn bind(specs: &[ListenSpec], buckets: u16, former: &Listeners) -> Listeners {
    let options = ListenOptions { backlog: 64, buckets, ..ListenOptions::default() };
    Listeners::bind(specs, options, former).unwrap()
}

fn address(listeners: &Listeners) -> SocketAddr {
    listeners.get(ListenerId(0)).address().inet().unwrap()
}

/// How many connections wait at each socket, after so many clients have come.
fn queues_after(listeners: &Listeners, clients: usize) -> (Vec<u32>, Vec<TcpStream>) {
    let address = address(listeners);
    let clients = (0..clients).map(|_| TcpStream::connect(address).unwrap()).collect();
    (listeners.sockets().map(|socket| socket.queue().unwrap().waiting).collect(), clients)
}

#[test]
fn port_zero_takes_a_free_one_and_tells_it() {
    let listeners = bind(&[loopback(0), loopback(0)], 1, &Listeners::default());
    let ports: Vec<u16> =
        listeners.iter().map(|(_, l)| l.address().inet().unwrap().port()).collect();
    assert_ne!(ports[0], 0);
    assert_ne!(ports[0], ports[1]);
}

#[test]
fn a_reload_keeps_the_sockets_that_stay() {
    let first = bind(&[loopback(0)], 1, &Listeners::default());
    let second = bind(&[loopback(0), loopback(0)], 1, &first);
    assert!(std::ptr::eq(first.get(ListenerId(0)), second.get(ListenerId(0))));
    assert_ne!(second.get(ListenerId(0)).address(), second.get(ListenerId(1)).address());
    assert_eq!(second.without(&first).count(), 1);
    assert_eq!(first.without(&second).count(), 0);
}

#[test]
fn a_port_in_use_is_named_and_never_shared_by_accident() {
    for buckets in [1, 3] {
        let first = bind(&[loopback(0)], buckets, &Listeners::default());
        let taken = loopback(address(&first).port());
        for buckets in [1, 3] {
            let options = ListenOptions { buckets, ..ListenOptions::default() };
            let error =
                Listeners::bind(std::slice::from_ref(&taken), options, &Listeners::default())
                    .unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains(&taken.to_string()), "{error}");
        }
    }
}

#[test]
fn places_that_overlap_are_refused_whatever_their_order_and_buckets() {
    // Bound, and not listening: nobody else is given the port, and who may share an address with it can have it.
    let reserve = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    reserve.set_reuse_address(true).unwrap();
    reserve.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = reserve.local_addr().unwrap().as_socket().unwrap().port();
    let all_of_v4 = ListenSpec::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let (all, one) = (ListenSpec::at(Place::Any(port)), loopback(port));
    for buckets in [1, 3] {
        let options = ListenOptions { buckets, ..ListenOptions::default() };
        let bind = |specs: &[ListenSpec]| Listeners::bind(specs, options, &Listeners::default());
        for pair in [[&all_of_v4, &one], [&all, &one], [&all, &all_of_v4]] {
            for [first, second] in [pair, [pair[1], pair[0]]] {
                let error = bind(&[first.clone(), second.clone()]).unwrap_err();
                assert_eq!(error.spec, *second, "the first one was free");
                assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
            }
        }
        let other_address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port)).into();
        assert_eq!(
            bind(&[one.clone(), other_address]).unwrap().sockets().count(),
            2 * usize::from(buckets)
        );
    }
}

#[test]
fn every_socket_of_a_group_has_the_options_and_so_have_its_connections() {
    let options = ListenOptions {
        backlog: 17,
        buckets: 2,
        send_buffer: Some(30_000),
        receive_buffer: Some(20_000),
        ..ListenOptions::default()
    };
    let listeners = Listeners::bind(&[loopback(0)], options, &Listeners::default()).unwrap();
    let (_, clients) = queues_after(&listeners, 20);
    for listener in listeners.sockets() {
        assert_eq!(listener.queue().unwrap().limit, 17);
        let (connection, _) = sys::net::accept(listener.as_fd()).unwrap();
        let connection = Socket::from(connection);
        for socket in [&listener.socket, &connection] {
            // The kernel doubles what it is told, for its own bookkeeping. socket(7).
            assert_eq!(socket.send_buffer_size().unwrap(), 60_000);
            assert_eq!(socket.recv_buffer_size().unwrap(), 40_000);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert!(socket.nonblocking().unwrap());
        }
    }
    drop(clients);
    let more = ListenOptions { backlog: 33, send_buffer: Some(40_000), ..options };
    let kept = Listeners::bind(&[loopback(0)], more, &listeners).unwrap();
    for listener in kept.sockets() {
        assert_eq!(listener.queue().unwrap().limit, 33, "a kept socket takes what is new");
        assert_eq!(listener.socket.send_buffer_size().unwrap(), 80_000);
    }
}

#[test]
fn each_bucket_has_sockets_of_its_own_and_gets_its_share() {
    let listeners = bind(&[loopback(0)], 3, &Listeners::default());
    assert_eq!(listeners.buckets(), 3);
    let (queues, _clients) = queues_after(&listeners, 60);
    assert!(queues.iter().sum::<u32>() == 60 && !queues.contains(&0), "{queues:?}");
    for (number, queue) in queues.iter().enumerate() {
        let view = listeners.bucket(number);
        assert_eq!(view.len(), 1);
        assert_eq!(view.get(ListenerId(0)).queue().unwrap().waiting, *queue);
    }
    let again = listeners.bucket(4);
    assert!(std::ptr::eq(again.get(ListenerId(0)), listeners.bucket(1).get(ListenerId(0))));
}

#[test]
fn removed_buckets_are_drained_by_the_first_and_get_nothing_new() {
    let three = bind(&[loopback(0), loopback(0)], 3, &Listeners::default());
    let (queues, mut early) = queues_after(&three, 40);
    let one = bind(&[loopback(0), loopback(0)], 1, &three);
    one.take_effect();
    assert_eq!((one.buckets(), one.len()), (1, 2 + 4));
    let (after, late) = queues_after(&one, 20);
    assert_eq!(after[0], queues[0] + 20);
    assert_eq!(after[1..], queues[1..]);
    let mut accepted = 0;
    for (_, listener) in one.iter() {
        accepted += std::iter::from_fn(|| sys::net::accept(listener.as_fd()).ok()).count();
    }
    assert_eq!(accepted, early.len() + late.len());
    early.iter_mut().for_each(|client| client.write_all(b"x").unwrap());
    // A bucket that comes back takes up its socket, and a bucket that is new stands behind it.
    let four = bind(&[loopback(0), loopback(0)], 4, &one);
    four.take_effect();
    let sockets: Vec<&Listener> = four.sockets().collect();
    assert!(one.sockets().take(3).eq_by_address(&sockets[..3]));
    let (queues, _clients) = queues_after(&four, 80);
    assert!(!queues[..4].contains(&0), "{queues:?}");
    assert_eq!(four.without(&one).count(), 2);
}

trait EqByAddress<'a>: Iterator<Item = &'a Listener> + Sized {
    fn eq_by_address(self, others: &[&Listener]) -> bool {
        self.zip(others).all(|(one, other)| std::ptr::eq(one, *other))
    }
}

impl<'a, I: Iterator<Item = &'a Listener>> EqByAddress<'a> for I {}

#[test]
fn a_reload_that_fails_has_sent_nobody_to_its_new_buckets() {
    let one = bind(&[loopback(0)], 1, &Listeners::default());
    let three = bind(&[loopback(0)], 3, &one);
    let (queues, _clients) = queues_after(&three, 20);
    assert_eq!(queues, [20, 0, 0]);
    drop(three); // Never took effect.
    let (queues, _clients) = queues_after(&one, 20);
    assert_eq!(queues, [40]);
}

#[test]
fn a_bucket_that_has_drained_is_closed_and_one_where_somebody_waits_is_not() {
    let three = bind(&[loopback(0)], 3, &Listeners::default());
    let (queues, clients) = queues_after(&three, 30);
    assert!(!queues.contains(&0));
    let long_ago = |listeners: &Listeners| {
        let mut lines = listeners.all.lines.clone();
        for member in &mut lines[0].sockets {
            member.draining_since =
                member.draining_since.map(|_| Moment::from_start(Duration::ZERO));
        }
        Listeners::of_lines(lines, Vec::new(), Vec::new())
    };
    let one = long_ago(&bind(&[loopback(0)], 1, &three));
    let same = bind(&[loopback(0)], 1, &one);
    assert_eq!(same.sockets().count(), 3, "clients wait in both");
    let last = one.sockets().last().unwrap();
    while sys::net::accept(last.as_fd()).is_ok() {}
    let fewer = bind(&[loopback(0)], 1, &one);
    assert_eq!(fewer.sockets().count(), 2);
    fewer.take_effect();
    fewer.close_others(&one);
    assert!(last.queue().is_err() || last.socket.is_listener().is_ok_and(|listens| !listens));
    drop(clients);
}

#[test]
fn what_a_reload_gives_up_refuses_at_once_though_children_hold_it() {
    let first = bind(&[loopback(0)], 2, &Listeners::default());
    let address = address(&first);
    let held_by_a_child: Vec<_> =
        first.sockets().map(|socket| socket.as_fd().try_clone_to_owned().unwrap()).collect();
    let none = bind(&[], 1, &first);
    none.close_others(&first);
    assert!(TcpStream::connect(address).is_err());
    drop(held_by_a_child);
}

#[test]
fn what_was_lent_and_dropped_stays_open_and_is_found_again() {
    let made = bind(&[loopback(0)], 2, &Listeners::default());
    let place = Place::Exact(address(&made));
    let again = |listener: &Listener| {
        let socket = listener.socket.try_clone().unwrap();
        Listener::new(socket, listener.address().clone(), None)
    };
    let mut members: Vec<Member> = made.sockets().map(|it| Member::new(again(it))).collect();
    let lent = Arc::get_mut(&mut members[0].listener).unwrap();
    lent.duty.lender = Some("systemd".to_owned());
    lent.duty.is_ours.store(false, Relaxed);
    // The second socket is our own, beside the lent one.
    let line = Line { place: place.clone(), sockets: members, live: 2 };
    let first = Listeners::of_lines(vec![line], Vec::new(), Vec::new());
    let lent = first.sockets().next().unwrap();

    let without = bind(&[loopback(0)], 1, &first);
    without.take_effect();
    without.close_others(&first);
    let said = without.remarks()[0].to_string();
    assert!(said.contains("systemd, and no Listen line asks for it any more"), "{said}");
    assert_eq!(without.sockets().count(), 1);
    let later = bind(&[loopback(0)], 1, &without);
    let (handed, descriptors) = later.described();
    assert_eq!(descriptors.len(), 2, "a successor gets it, too: {handed}");
    let again = bind(&[ListenSpec::at(place)], 1, &later);
    assert!(again.sockets().any(|socket| std::ptr::eq(socket, lent)));
    assert!(again.remarks().is_empty());
    let _client = TcpStream::connect(address(&again)).unwrap();
}

#[test]
fn a_kept_socket_file_gets_its_new_rights() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let spec = |mode| ListenSpec {
        access: FileAccess { mode, ..FileAccess::default() },
        ..ListenSpec::at(Place::Unix(path.clone()))
    };
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let first = bind(&[spec(0o600)], 1, &Listeners::default());
    assert_eq!(mode(), 0o600);
    let second = bind(&[spec(0o620)], 1, &first);
    assert_eq!(mode(), 0o620);
    second.close_others(&first);
    assert!(path.exists());
}

#[test]
fn a_reload_that_fails_leaves_the_sockets_that_it_would_have_kept_as_they_were() {
    let taken = bind(&[loopback(0)], 1, &Listeners::default());
    let first = bind(&[loopback(0)], 1, &Listeners::default());
    let options = ListenOptions { backlog: 3, ..ListenOptions::default() };
    let taken = ListenSpec::at(Place::Exact(address(&taken)));
    Listeners::bind(&[loopback(0), taken], options, &first).unwrap_err();
    assert_eq!(first.get(ListenerId(0)).queue().unwrap().limit, 64);
}

#[test]
fn what_was_handed_on_is_neither_closed_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let specs = [loopback(0), ListenSpec::at(Place::Unix(path.clone()))];
    let first = bind(&specs, 1, &Listeners::default());
    let address = address(&first);
    let successors: Vec<_> =
        first.sockets().map(|socket| socket.as_fd().try_clone_to_owned().unwrap()).collect();
    first.let_go();
    drop(first);
    TcpStream::connect(address).unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(successors);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_socket_file_is_shared_by_all_buckets_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let specs = [loopback(0), ListenSpec::at(Place::Unix(path.clone()))];
    let listeners = bind(&specs, 2, &Listeners::default());
    let (zero, one) = (listeners.bucket(0), listeners.bucket(1));
    assert!(!std::ptr::eq(zero.get(ListenerId(0)), one.get(ListenerId(0))));
    assert!(std::ptr::eq(zero.get(ListenerId(1)), one.get(ListenerId(1))));
    assert_eq!(one.get(ListenerId(1)).address().to_string(), format!("unix:{}", path.display()));
    listeners.close();
    assert!(!path.exists());
}

#[test]
fn what_the_kernel_cuts_or_refuses_is_remarked_once() {
    let options = ListenOptions { backlog: 1 << 30, buckets: 2, ..ListenOptions::default() };
    let listeners = Listeners::bind(&[loopback(0)], options, &Listeners::default()).unwrap();
    let [Remark::BacklogCut { asked, limit }] = listeners.remarks() else {
        panic!("{:?}", listeners.remarks())
    };
    assert!(*asked == 1 << 30 && *limit < 1 << 30);
    let said = listeners.remarks()[0].to_string();
    assert!(said.contains("1073741824") && said.contains("somaxconn"), "{said}");
    assert!(bind(&[loopback(0)], 2, &Listeners::default()).remarks().is_empty());
}

#[test]
fn closing_the_queue_keeps_who_is_in_it() {
    let listeners = bind(&[loopback(0)], 2, &Listeners::default());
    let (_, _clients) = queues_after(&listeners, 10);
    listeners.close_the_queue();
    assert!(!listeners.are_drained());
    let accepted: usize = listeners
        .sockets()
        .map(|socket| std::iter::from_fn(|| sys::net::accept(socket.as_fd()).ok()).count())
        .sum();
    assert_eq!(accepted, 10);
    assert!(listeners.are_drained());
}
