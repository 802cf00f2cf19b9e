//! What was found: a table for the terminal and for Markdown, JSON, and a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::measure::Sample;
use crate::scenarios::{SCENARIOS, Scenario, Work};
use crate::servers::Kind;

/// All samples of one run.
pub(crate) struct Run {
    rounds: usize,
    secs: u32,
    machine: String,
    /// In the order of their first sample.
    kinds: Vec<Kind>,
    samples: BTreeMap<(&'static str, String), Vec<Sample>>,
}

impl Run {
    pub(crate) fn new(rounds: usize, secs: u32) -> Run {
        Run { rounds, secs, machine: machine(), kinds: Vec::new(), samples: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, scenario: &Scenario, kind: &Kind, sample: Sample) {
        if !self.kinds.contains(kind) {
            self.kinds.push(kind.clone());
        }
        self.samples.entry((scenario.name, kind.name())).or_default().push(sample);
    }

    fn measured(&self) -> impl Iterator<Item = &'static Scenario> {
        SCENARIOS.iter().filter(|it| self.samples.keys().any(|(name, _)| *name == it.name))
    }

    /// The median of something, and the lowest and the highest.
    fn median(
        &self,
        scenario: &Scenario,
        kind: &Kind,
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<[f64; 3]> {
        let samples = self.samples.get(&(scenario.name, kind.name()))?;
        let mut all: Vec<f64> = samples.iter().filter_map(of).collect();
        all.sort_by(f64::total_cmp);
        Some([*all.first()?, all[all.len() / 2], *all.last()?])
    }

    fn cost(&self, scenario: &Scenario, kind: &Kind) -> Option<f64> {
        self.median(scenario, kind, |sample| Some(sample.cost)).map(|[_, median, _]| median)
    }

    /// The cheapest of what others have made.
    fn best_peer(&self, scenario: &Scenario) -> Option<f64> {
        let peers = self.kinds.iter().filter(|kind| kind.is_peer());
        peers.filter_map(|kind| self.cost(scenario, kind)).min_by(f64::total_cmp)
    }

    /// Markdown, which is a table on a terminal as well.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.machine);
        let _ = writeln!(
            text,
            "CPU microseconds for each request, medians of {} rounds of {} s, the lowest and the highest behind them; then \
             as a multiple of the limit, and of the best peer.\n",
            self.rounds, self.secs
        );
        for scenario in self.measured() {
            let _ = writeln!(text, "### {}\n", scenario.title);
            let idle = matches!(scenario.work, Work::Idle { .. });
            let unit = if matches!(scenario.work, Work::Burst { .. }) { "ms" } else { "µs" };
            let more = if idle { " bytes each |" } else { "" };
            let line = if idle { "--:|" } else { "" };
            let _ = writeln!(
                text,
                "| server | {unit} | from | to | × limit | × best peer | requests/s |{more}"
            );
            let _ = writeln!(text, "|:--|--:|--:|--:|--:|--:|--:|{line}");
            let limit = self.cost(scenario, &Kind::Limit);
            let best = self.best_peer(scenario);
            for kind in &self.kinds {
                let Some([low, median, high]) =
                    self.median(scenario, kind, |sample| Some(sample.cost))
                else {
                    continue;
                };
                let rate = self.median(scenario, kind, |sample| Some(sample.requests_per_sec));
                let times =
                    |of: Option<f64>| of.map_or("-".into(), |it| format!("{:.2}", median / it));
                let _ = write!(
                    text,
                    "| {:16} | {median:8.2} | {low:8.2} | {high:8.2} | {:>5} | {:>5} | {:8.0} |",
                    kind.name(),
                    times(limit),
                    times(best),
                    rate.map_or(0.0, |[_, rate, _]| rate),
                );
                if let Some([_, bytes, _]) = self.median(scenario, kind, |sample| sample.idle_bytes)
                {
                    let _ = write!(text, " {bytes:8.0} |");
                }
                text.push('\n');
            }
            text.push('\n');
        }
        text.push_str("### Start and rest\n\n| server | first connection after, ms | memory at rest, KiB (PSS) |\n|:--|--:|--:|\n");
        for kind in &self.kinds {
            let of_all = |of: fn(&Sample) -> f64| {
                let own = self.samples.iter().filter(|((_, name), _)| *name == kind.name());
                let mut all: Vec<f64> =
                    own.flat_map(|(_, samples)| samples.iter().map(of)).collect();
                all.sort_by(f64::total_cmp);
                all.get(all.len() / 2).copied().unwrap_or(0.0)
            };
            let (start, rest) = (of_all(|it| it.start_ms), of_all(|it| it.rest_bytes / 1024.0));
            let _ = writeln!(text, "| {:16} | {start:6.1} | {rest:8.0} |", kind.name());
        }
        text
    }

    /// `report.md`, `run.json` and `costs.svg`.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let report = format!("# What a request costs\n\n![costs](costs.svg)\n\n{}", self.table());
        fs::write(folder.join("report.md"), report)?;
        fs::write(folder.join("run.json"), self.json())?;
        fs::write(folder.join("costs.svg"), self.svg())
    }

    /// `{machine, rounds, secs, samples: [{scenario, server, cost, requests_per_sec, idle_bytes, start_ms, rest_bytes}]}`:
    /// every sample, in the units of [`Sample`].
    fn json(&self) -> String {
        let mut samples = Vec::new();
        for ((scenario, server), all) in &self.samples {
            for sample in all {
                let idle = sample.idle_bytes.map_or("null".into(), |bytes| format!("{bytes:.0}"));
                samples.push(format!(
                    "    {{\"scenario\": \"{scenario}\", \"server\": \"{server}\", \"cost\": {:.3}, \
                     \"requests_per_sec\": {:.0}, \"idle_bytes\": {idle}, \"start_ms\": {:.1}, \"rest_bytes\": {:.0}}}",
                    sample.cost, sample.requests_per_sec, sample.start_ms, sample.rest_bytes
                ));
            }
        }
        format!(
            "{{\n  \"machine\": \"{}\",\n  \"rounds\": {},\n  \"secs\": {},\n  \"samples\": [\n{}\n  ]\n}}\n",
            self.machine.replace(['"', '\\'], " "),
            self.rounds,
            self.secs,
            samples.join(",\n")
        )
    }

    /// Bars: for each scenario the servers' costs, as long as the dearest one's is wide.
    fn svg(&self) -> String {
        const WIDTH: f64 = 900.0;
        const LABEL: f64 = 150.0;
        const ROW: f64 = 16.0;
        let mut bars = String::new();
        let mut y = 10.0;
        for scenario in self.measured() {
            let costs: Vec<(&Kind, f64)> = self
                .kinds
                .iter()
                .filter_map(|kind| self.cost(scenario, kind).map(|cost| (kind, cost)))
                .collect();
            let dearest = costs.iter().map(|(_, cost)| *cost).fold(f64::MIN_POSITIVE, f64::max);
            y += ROW * 1.5;
            let _ = writeln!(
                bars,
                "<text x=\"0\" y=\"{y:.0}\" font-weight=\"bold\">{}</text>",
                scenario.title
            );
            for (kind, cost) in costs {
                y += ROW;
                let width = cost / dearest * (WIDTH - LABEL - 80.0);
                let colour = match (kind.is_peer(), *kind == Kind::Limit) {
                    (true, _) => "#7aa6c2",
                    (false, true) => "#888888",
                    (false, false) => "#c2571a",
                };
                let _ = writeln!(
                    bars,
                    "<text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\">{}</text>\
                     <rect x=\"{LABEL}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"{colour}\"/>\
                     <text x=\"{:.0}\" y=\"{y:.0}\">{cost:.1}</text>",
                    LABEL - 6.0,
                    kind.name(),
                    y - ROW + 5.0,
                    ROW - 3.0,
                    LABEL + width + 4.0,
                );
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{bars}</svg>\n",
            y + 20.0
        )
    }
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim())
        })
        .unwrap_or("unknown processor")
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
