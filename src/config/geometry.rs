//! # geometry: how many processes and threads the limits allow
//!
//! ```text
//! threaded:  MaxRequestWorkers = processes × ThreadsPerChild
//!                                processes ≤ ServerLimit
//!                                            ThreadsPerChild ≤ ThreadLimit
//! prefork:   MaxRequestWorkers = processes ≤ ServerLimit
//! ```
//!
//! - The numbers are corrected together, after all directives were heard, as in Apache: their order
//!   in the file does not matter.
//! - Every correction of what the operator wrote is a warning that names the directive; what
//!   follows from others silently is a maximum that was below its minimum.

use std::fmt;

/// A process model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One process, one connection.
    Prefork,
    /// Processes with threads; a thread keeps its connection.
    Worker,
    /// As worker, but waiting connections hold no thread.
    Event,
}

/// What the directives say; `None` where nothing was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Raw {
    /// `StartServers`
    pub start_servers: Option<i64>,
    /// `MinSpareServers` or `MinSpareThreads`, whichever the model obeys.
    pub min_spare: Option<i64>,
    /// `MaxSpareServers` or `MaxSpareThreads`, whichever the model obeys.
    pub max_spare: Option<i64>,
    /// `ThreadsPerChild`
    pub threads_per_child: Option<i64>,
    /// `ThreadLimit`
    pub thread_limit: Option<i64>,
    /// `ServerLimit`
    pub server_limit: Option<i64>,
    /// `MaxRequestWorkers`
    pub max_request_workers: Option<i64>,
    /// `AsyncRequestWorkerFactor`
    pub async_factor: Option<f64>,
}

/// Numbers that agree with each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// What they are for.
    pub model: Model,
    /// How many processes the scoreboard has room for.
    pub server_limit: u32,
    /// How many worker threads of each process the scoreboard has room for; 1 under prefork.
    pub thread_limit: u32,
    /// How many worker threads each process has; 1 under prefork.
    pub threads_per_child: u32,
    /// How many processes may run at once.
    pub processes_max: u32,
    /// `processes_max × threads_per_child`
    pub max_request_workers: u32,
    /// How many processes are forked at start.
    pub start_servers: u32,
    /// Idle processes (prefork) or threads to keep ready at least.
    pub min_spare: u32,
    /// Idle processes (prefork) or threads to keep at most; more than `min_spare`.
    pub max_spare: u32,
    /// event: connections beyond one for each worker, for each idle worker.
    pub async_factor: f64,
}

/// A correction of what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The directive that was corrected.
    pub directive: &'static str,
    /// What was done and why.
    pub message: String,
}

impl Model {
    /// As in `LoadModule mpm_NAME_module`.
    pub fn name(self) -> &'static str {
        match self {
            Model::Prefork => "prefork",
            Model::Worker => "worker",
            Model::Event => "event",
        }
    }

    /// The model of a module, by its name (`mpm_event_module`) or file (`event.c`).
    pub fn of_module(module: &str) -> Option<Model> {
        match module {
            "mpm_prefork_module" | "prefork.c" => Some(Model::Prefork),
            "mpm_worker_module" | "worker.c" => Some(Model::Worker),
            "mpm_event_module" | "event.c" => Some(Model::Event),
            _ => None,
        }
    }

    fn defaults(self) -> Defaults {
        match self {
            Model::Prefork => Defaults {
                start_servers: 5,
                min_spare: 5,
                max_spare: 10,
                server_limit: 256,
                server_limit_max: 200_000,
                thread_limit_max: 1,
                max_request_workers: 256,
            },
            Model::Worker => Defaults {
                start_servers: 3,
                min_spare: 75,
                max_spare: 250,
                server_limit: 16,
                server_limit_max: 20_000,
                thread_limit_max: 20_000,
                max_request_workers: 400,
            },
            Model::Event => Defaults { thread_limit_max: 100_000, ..Model::Worker.defaults() },
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Apache's numbers.
struct Defaults {
    start_servers: u32,
    min_spare: u32,
    max_spare: u32,
    server_limit: u32,
    server_limit_max: u32,
    thread_limit_max: u32,
    max_request_workers: u32,
}

/// Corrects the numbers, in Apache's order, and says what was corrected.
pub fn geometry(raw: &Raw, model: Model) -> (Geometry, Vec<Warning>) {
    let defaults = model.defaults();
    let mut fix = Corrections::default();
    let server_limit = fix.number("ServerLimit", raw.server_limit, defaults.server_limit);
    let server_limit =
        fix.cut("ServerLimit", server_limit, defaults.server_limit_max, "built-in limit");

    let (thread_limit, threads_per_child, processes_max) = if model == Model::Prefork {
        let wanted = raw.max_request_workers;
        let wanted =
            fix.number("MaxRequestWorkers", wanted, defaults.max_request_workers.min(server_limit));
        (1, 1, fix.cut("MaxRequestWorkers", wanted, server_limit, "ServerLimit"))
    } else {
        let limit = fix.number("ThreadLimit", raw.thread_limit, 64);
        let limit = fix.cut("ThreadLimit", limit, defaults.thread_limit_max, "built-in limit");
        let threads = fix.number("ThreadsPerChild", raw.threads_per_child, 25.min(limit));
        let threads = fix.cut("ThreadsPerChild", threads, limit, "ThreadLimit");
        let wanted = raw.max_request_workers;
        (limit, threads, fix.processes(wanted, &defaults, threads, server_limit))
    };

    let min_name = match model {
        Model::Prefork => "MinSpareServers",
        Model::Worker | Model::Event => "MinSpareThreads",
    };
    let min_spare = fix.number(min_name, raw.min_spare, defaults.min_spare);
    let max_spare = raw.max_spare.unwrap_or(defaults.max_spare.into()).clamp(0, u32::MAX.into());
    let max_spare = u32::try_from(max_spare).unwrap_or(u32::MAX);
    let mut geometry = Geometry {
        model,
        server_limit,
        thread_limit,
        threads_per_child,
        processes_max,
        max_request_workers: processes_max * threads_per_child, // At most 20000 × 100000.
        start_servers: fix
            .number("StartServers", raw.start_servers, defaults.start_servers)
            .min(processes_max),
        min_spare,
        max_spare,
        async_factor: raw.async_factor.unwrap_or(2.0),
    };
    geometry.spread_over(1);
    (geometry, fix.warnings)
}

impl Geometry {
    /// Raises what is too low for so many buckets, silently, as Apache does: each has a child, and an idle worker; and
    /// one child more for each may be idle, and a worker, before any is too many.
    pub fn spread_over(&mut self, buckets: u32) {
        let threads = self.threads_per_child;
        let (least, room) = match self.model {
            Model::Prefork => (buckets, buckets),
            Model::Worker | Model::Event => (
                threads.saturating_mul(buckets - 1).saturating_add(buckets),
                (threads + 1).saturating_mul(buckets),
            ),
        };
        self.start_servers = self.start_servers.max(buckets);
        self.min_spare = self.min_spare.max(least);
        self.max_spare = self.max_spare.max(self.min_spare.saturating_add(room));
    }
}

#[derive(Default)]
struct Corrections {
    warnings: Vec<Warning>,
}

impl Corrections {
    /// What was written, or the default; at least 1.
    fn number(&mut self, directive: &'static str, written: Option<i64>, default: u32) -> u32 {
        let Some(written) = written else { return default };
        if written < 1 {
            self.warn(directive, format!("{written} is not allowed, using 1"));
            return 1;
        }
        u32::try_from(written).unwrap_or(u32::MAX)
    }

    fn cut(&mut self, directive: &'static str, number: u32, limit: u32, what: &str) -> u32 {
        if number > limit {
            self.warn(directive, format!("{number} exceeds the {what} of {limit}, using {limit}"));
        }
        number.min(limit)
    }

    /// How many processes a threaded model may run. MaxRequestWorkers is rounded down to whole
    /// processes.
    fn processes(
        &mut self,
        written: Option<i64>,
        defaults: &Defaults,
        threads: u32,
        limit: u32,
    ) -> u32 {
        const NAME: &str = "MaxRequestWorkers";
        // Nobody asked for the default, so bringing it into line with the others is no news to
        // anybody.
        let Some(_) = written else {
            return (defaults.max_request_workers / threads).clamp(1, limit);
        };
        let wanted = self.number(NAME, written, defaults.max_request_workers);
        if wanted < threads {
            let message = format!("{wanted} is less than ThreadsPerChild, using {threads}");
            self.warn(NAME, message);
            return 1;
        }
        let processes = wanted / threads;
        if processes > limit {
            let most = u64::from(limit) * u64::from(threads);
            let message = format!(
                "{wanted} needs {processes} children of {threads} threads, and ServerLimit allows \
                 {limit}, using {most}"
            );
            self.warn(NAME, message);
            return limit;
        }
        if !wanted.is_multiple_of(threads) {
            let whole = processes * threads;
            let message =
                format!("{wanted} is not a multiple of ThreadsPerChild, {threads}, using {whole}");
            self.warn(NAME, message);
        }
        processes
    }

    fn warn(&mut self, directive: &'static str, message: String) {
        self.warnings.push(Warning { directive, message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn threaded(threads: i64, workers: i64, servers: i64) -> Raw {
        Raw {
            threads_per_child: Some(threads),
            max_request_workers: Some(workers),
            server_limit: Some(servers),
            ..Raw::default()
        }
    }

    #[track_caller]
    fn check(raw: &Raw, model: Model, expected: (u32, u32), warned: &[&str]) {
        let (found, warnings) = geometry(raw, model);
        assert_eq!((found.processes_max, found.max_request_workers), expected, "{warnings:?}");
        let names: Vec<_> = warnings.iter().map(|warning| warning.directive).collect();
        assert_eq!(names, warned, "{warnings:?}");
    }

    #[test]
    fn defaults_are_apaches() {
        let (prefork, _) = geometry(&Raw::default(), Model::Prefork);
        assert_eq!((prefork.max_request_workers, prefork.server_limit), (256, 256));
        assert_eq!((prefork.start_servers, prefork.min_spare, prefork.max_spare), (5, 5, 10));
        let (event, warnings) = geometry(&Raw::default(), Model::Event);
        assert_eq!((event.processes_max, event.threads_per_child), (16, 25));
        assert_eq!((event.max_request_workers, event.thread_limit), (400, 64));
        assert_eq!((event.start_servers, event.min_spare, event.max_spare), (3, 75, 250));
        assert_eq!(warnings, []);
    }

    #[test]
    fn spare_limits_leave_room_for_each_bucket() {
        let raw = Raw { min_spare: Some(1), max_spare: Some(1), ..Raw::default() };
        for (model, buckets, expected) in [
            (Model::Prefork, 1, (5, 1, 2)),
            (Model::Prefork, 8, (8, 8, 16)),
            (Model::Event, 1, (3, 1, 27)),
            (Model::Worker, 4, (4, 79, 183)),
        ] {
            let (mut geometry, _) = geometry(&raw, model);
            geometry.spread_over(buckets);
            let Geometry { start_servers, min_spare, max_spare, .. } = geometry;
            assert_eq!((start_servers, min_spare, max_spare), expected, "{model}, {buckets}");
        }
    }

    #[test]
    fn request_workers_become_whole_children() {
        check(&threaded(25, 400, 16), Model::Event, (16, 400), &[]);
        check(&threaded(25, 60, 16), Model::Worker, (2, 50), &["MaxRequestWorkers"]);
        check(&threaded(25, 10, 16), Model::Worker, (1, 25), &["MaxRequestWorkers"]);
        check(&threaded(25, 1000, 16), Model::Worker, (16, 400), &["MaxRequestWorkers"]);
        check(&threaded(100, 640, 16), Model::Event, (10, 640), &["ThreadsPerChild"]);
        check(
            &threaded(0, 4, 0),
            Model::Event,
            (1, 1),
            &["ServerLimit", "ThreadsPerChild", "MaxRequestWorkers"],
        );
    }

    #[test]
    fn prefork_has_one_connection_a_process() {
        check(&threaded(99, 300, 256), Model::Prefork, (256, 256), &["MaxRequestWorkers"]);
        check(&threaded(99, 20, 256), Model::Prefork, (20, 20), &[]);
        let tiny = Raw { server_limit: Some(10), ..Raw::default() };
        check(&tiny, Model::Prefork, (10, 10), &[]);
    }

    fn number() -> impl Strategy<Value = Option<i64>> {
        proptest::option::of(prop_oneof![-3..40_i64, 0..300_000_i64, any::<i64>()])
    }

    proptest! {
        #[test]
        fn any_numbers_become_ones_that_agree(
            start_servers in number(), min_spare in number(), max_spare in number(),
            threads_per_child in number(), thread_limit in number(), server_limit in number(),
            max_request_workers in number(), model in 0..3_usize,
        ) {
            let model = [Model::Prefork, Model::Worker, Model::Event][model];
            let raw = Raw {
                start_servers, min_spare, max_spare, threads_per_child, thread_limit, server_limit,
                max_request_workers, async_factor: None,
            };
            let (g, _) = geometry(&raw, model);
            prop_assert!(1 <= g.threads_per_child && g.threads_per_child <= g.thread_limit);
            prop_assert!(1 <= g.processes_max && g.processes_max <= g.server_limit);
            prop_assert_eq!(g.max_request_workers, g.processes_max * g.threads_per_child);
            prop_assert!(1 <= g.start_servers && g.start_servers <= g.processes_max);
            prop_assert!(1 <= g.min_spare && g.min_spare <= g.max_spare);
            let allowed = |wanted: &i64| *wanted >= i64::from(g.threads_per_child);
            if let Some(wanted) = max_request_workers.filter(allowed) {
                prop_assert!(i64::from(g.max_request_workers) <= wanted);
            }
            // What was corrected once needs no correction again.
            let again = Raw {
                start_servers: Some(g.start_servers.into()),
                min_spare: Some(g.min_spare.into()),
                max_spare: Some(g.max_spare.into()),
                threads_per_child: Some(g.threads_per_child.into()),
                thread_limit: Some(g.thread_limit.into()),
                server_limit: Some(g.server_limit.into()),
                max_request_workers: Some(g.max_request_workers.into()),
                async_factor: None,
            };
            prop_assert_eq!(geometry(&again, model), (g, vec![]));
        }
    }
}
