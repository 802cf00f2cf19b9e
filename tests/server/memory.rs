//! What the server promises about memory: as many workers as fit, children that grow are replaced, children retire one
//! by one, and under pressure the supervisor is not the first to go.

use std::collections::{HashMap, HashSet};
use std::fs;

use nix::unistd::Pid;

use crate::on_every_mpm;
use crate::support::cgroup::Group;
use crate::support::client::Client;
use crate::support::processes::is_alive;
use crate::support::{MODELS, Server, Site, command, wait_until};

// --- MaxRequestWorkers auto ---

/// Of which 32 MiB are the reserve.
const LIMIT: u64 = 48 << 20;

/// More clients than workers come at once, before and after children were measured, and each time the full server is
/// restarted.
fn queues_rather_than_swaps(model: &'static str) {
    let group = match Group::make(LIMIT) {
        Ok(group) => group,
        // No package brings this right, so HERDGATE_REQUIRE_PEERS does not ask for it.
        Err(why) => return eprintln!("skipped: no memory cgroup: {why}"),
    };
    let site = Site::new(model).sizes(&format!("{}\nMaxRequestWorkers auto", sizes(model)));
    let told = command::run_in(&group, &site.write_conf(), &["-t", "-D", "DUMP_LIMITS"]);
    let mut server = site.start_by(group.command());
    let estimate = server.wait_for_error("MaxRequestWorkers auto: (48 MiB, the cgroup's limit, ");
    let arithmetic = estimate.split_once("MaxRequestWorkers auto").unwrap().1;
    assert!(told.stdout.contains(arithmetic), "{}\n{estimate}", told.stdout);

    let workers = last_number_before(&estimate, " workers");
    let crowd = Crowd::of(&server, workers + 30);
    crowd.wait_until_it_fills(&server, workers);
    if model == "event" {
        assert_eq!(server.get("/").status, 200); // Somebody has served, so there is something to measure.
    }
    server.graceful_restart();
    let measured = server.wait_for_error(" a child, measured (95th percentile) = ");
    let more = last_number_before(&measured, " workers");
    assert!(more > workers, "the estimate is meant to be generous: {estimate}\n{measured}");
    crowd.expect_answers();
    let crowd = Crowd::of(&server, more + 30);
    crowd.wait_until_it_fills(&server, more);
    let full = server.children();
    server.graceful_restart(); // There is no room for as many children once more.
    crowd.expect_answers();
    wait_until("they were replaced as they ended", || {
        let now = server.children();
        !now.is_empty() && !now.iter().any(|child| full.contains(child))
    });
    assert_eq!(server.get("/").status, 200);

    assert_eq!(group.troubles(), "", "{}", server.error_log());
    assert!(group.peak() < LIMIT, "{}", group.peak());
    assert!(!server.error_log().contains("exit signal"), "{}", server.error_log());
    drop(server);
}

#[test]
fn a_small_cgroup_queues_rather_than_swaps_under_prefork() {
    queues_rather_than_swaps("prefork");
}

#[test]
fn a_small_cgroup_queues_rather_than_swaps_under_worker() {
    queues_rather_than_swaps("worker");
}

#[test]
fn a_small_cgroup_queues_rather_than_swaps_under_event() {
    queues_rather_than_swaps("event");
}

/// Spare limits that let all children come and stay.
fn sizes(model: &str) -> &'static str {
    match model {
        "prefork" => "StartServers 2\nMinSpareServers 2\nMaxSpareServers 500",
        _ => {
            "StartServers 1\nThreadsPerChild 8\nMinSpareThreads 8\nMaxSpareThreads 500\n\
             ServerLimit 64"
        }
    }
}

/// Clients whose requests have begun, and go on only when all of them are there.
struct Crowd(Vec<Client>);

impl Crowd {
    fn of(server: &Server, count: u32) -> Self {
        let come = |_| {
            let mut client = server.client();
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
            client
        };
        Self((0..count).map(come).collect())
    }

    /// Each client of prefork and worker holds a worker, until there are no more. In event they hold none.
    fn wait_until_it_fills(&self, server: &Server, workers: u32) {
        if server.model() == "event" {
            return;
        }
        let per_child = if server.model() == "prefork" { 1 } else { 8 };
        let full = (workers / per_child) as usize;
        wait_until("as many children as fit", || server.children().len() >= full);
    }

    /// Everybody goes on, and is served.
    fn expect_answers(mut self) {
        self.0.iter_mut().for_each(|client| client.send("\r\n"));
        for mut client in self.0 {
            let answer = client.receive("GET");
            assert_eq!((answer.status, answer.text().as_str()), (200, "<h1>It works!</h1>\n"));
        }
    }
}

/// `… = 12 workers`: 12.
fn last_number_before(line: &str, what: &str) -> u32 {
    let before = line.rsplit_once(what).unwrap().0;
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn dump_limits_shows_the_arithmetic_of_auto_only() {
    for model in MODELS {
        let site = Site::new(model).sizes("ServerLimit 2\nMaxRequestWorkers auto");
        let told = command::run_with(&site.write_conf(), &["-t", "-D", "DUMP_LIMITS"]);
        let workers = if model == "prefork" { 2 } else { 50 };
        let limit = format!("MaxRequestWorkers: {workers} (2 children)");
        assert!(told.stdout.contains(&limit), "{}", told.stdout);
        let cut = format!("of which ServerLimit allows 2, x {} = {workers} workers", workers / 2);
        assert!(told.stdout.contains(&cut), "{}", told.stdout);
        let site = Site::new(model).sizes("MaxRequestWorkers auto\nMaxClients 100");
        let told = command::run_with(&site.write_conf(), &["-t", "-D", "DUMP_LIMITS"]);
        assert!(told.stdout.contains("MaxRequestWorkers: 100 "), "{}", told.stdout);
        assert!(!told.stdout.contains("auto"), "{}", told.stdout);
    }
}

// --- MaxMemoryPerChild ---

/// An idle child more than the spare limits allow goes each second, in the same look that weighs the children: when
/// three have gone, the supervisor has looked three times.
const THREE_TOO_MANY: &str = "LogLevel info\nSpawnPolicy Periodic\nMaxMemoryPerChild ";

on_every_mpm!(
    a_child_is_replaced_only_above_max_memory_per_child_and_after_it_has_served,
    |site| {
        let sizes = match site.model() {
            "prefork" => "StartServers 5\nMinSpareServers 1\nMaxSpareServers 2",
            _ => "StartServers 5\nThreadsPerChild 2\nMinSpareThreads 2\nMaxSpareThreads 4",
        };
        site.sizes(sizes)
    },
    |server| {
        let everybody_has_served = |server: &Server| {
            let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
            clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        };
        everybody_has_served(&server);
        let sizes: Vec<u64> = server.children().into_iter().filter_map(anonymous_bytes).collect();
        let (small, large) = (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap());

        server.rewrite_conf(&format!("{THREE_TOO_MANY}{}", large + large / 2));
        server.graceful_restart_to_the_end();
        everybody_has_served(&server);
        wait_until("three looks", || server.children().len() <= 2);
        assert!(!server.error_log().contains("MaxMemoryPerChild: it is replaced"));

        server.rewrite_conf(&format!("{THREE_TOO_MANY}{}", small - small / 4));
        server.graceful_restart_to_the_end();
        wait_until("three looks", || server.children().len() <= 2);
        assert!(!server.error_log().contains("MaxMemoryPerChild: it is replaced"));
        let mut client = server.client();
        assert_eq!(client.get("/").status, 200);
        let line = server.wait_for_error("MaxMemoryPerChild: it is replaced");
        let pid = line.split_once("child ").unwrap().1.split(' ').next().unwrap();
        let pid = Pid::from_raw(pid.parse().unwrap());
        assert_eq!(client.get("/").status, 200, "what it serves is finished");
        assert_eq!(server.get("/").status, 200);
        drop(client);
        wait_until("it goes", || !is_alive(pid));
        assert!(!server.error_log().contains("exit signal"), "{}", server.error_log());
    }
);

/// RssAnon, which is most of what `MaxMemoryPerChild` weighs.
fn anonymous_bytes(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().unwrap() * 1024)
}

// --- MaxConnectionsPerChild ---

/// Nobody retires for any other reason: there are never too many spare children.
fn retiring(site: Site, share: &str) -> Site {
    let sizes = match site.model() {
        "prefork" => "StartServers 3\nMinSpareServers 1\nMaxSpareServers 500",
        _ => "StartServers 2\nThreadsPerChild 2\nMinSpareThreads 2\nMaxSpareThreads 500",
    };
    site.sizes(sizes)
        .conf(&format!("LogFormat %P pid\nCustomLog logs/pids pid\nMaxConnectionsPerChild {share}"))
}

/// How many connections each child had, by its process id, of those that have retired; so many at least.
fn connections_of_the_retired(server: &Server, retired: usize) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut clients = 0;
    wait_until("enough children have retired", || {
        for _ in 0..20 {
            let mut client = server.client();
            assert_eq!(client.request("GET", "/", &["Connection: close"]).status, 200);
            client.expect_end();
            clients += 1;
        }
        seen.extend(server.children());
        seen.iter().filter(|pid| !is_alive(**pid)).count() >= retired
    });
    wait_until("each has its line", || server.text("logs/pids").lines().count() == clients);
    let mut connections: HashMap<i32, usize> = HashMap::new();
    for line in server.text("logs/pids").lines() {
        *connections.entry(line.parse().unwrap()).or_default() += 1;
    }
    connections.retain(|pid, _| !is_alive(Pid::from_raw(*pid)));
    assert!(connections.len() >= retired, "{connections:?}");
    connections.into_values().collect()
}

on_every_mpm!(
    with_a_jitter_each_child_has_its_own_share_of_connections,
    |site| retiring(site, "40 50%"),
    |server| {
        let shares = connections_of_the_retired(&server, 8);
        assert!(shares.iter().all(|share| (20..=40).contains(share)), "{shares:?}");
        let different: HashSet<&usize> = shares.iter().collect();
        assert!(different.len() > 1, "all at once: {shares:?}");
    }
);

on_every_mpm!(
    without_a_jitter_all_children_have_the_same_share,
    |site| retiring(site, "20"),
    |server| {
        let shares = connections_of_the_retired(&server, 4);
        assert!(shares.iter().all(|share| *share == 20), "{shares:?}");
    }
);

// --- who goes first ---

on_every_mpm!(children_are_offered_to_the_oom_killer_and_the_supervisor_is_not, |server| {
    let score = |pid: Pid| -> i32 {
        let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse().unwrap()
    };
    let ours = score(Pid::this());
    assert_eq!(score(server.pid()), ours, "the supervisor is as whoever starts it");
    assert_eq!(server.get("/").status, 200);
    server.graceful_restart_to_the_end();
    for child in server.children() {
        wait_until("the child has raised it", || score(child) == (ours + 100).min(1000));
    }
    assert_eq!(score(server.pid()), ours);
});
