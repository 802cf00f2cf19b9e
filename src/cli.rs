//! # The command line
//!
//! - `herdgate serve DIR` needs no configuration file and no knowledge of Apache.
//! - Everything else is httpd's: the same letters, the same meanings, the same exit codes.

pub mod check;
pub mod control;
pub mod dump;
pub mod explain;
mod json;
pub mod serve;
pub mod show;
pub mod start;
pub mod top;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::config::Source;
use crate::log::Level;

/// Where the configuration is looked for when nobody says where.
const DEFAULT_ROOT: &str = "/etc/herdgate";
/// The main file, below the root.
const DEFAULT_FILE: &str = "conf/httpd.conf";

/// What the program was asked to do.
#[derive(Debug)]
pub enum Task {
    /// `herdgate serve`
    Serve(serve::Serve),
    /// `herdgate top`
    Top(top::Top),
    /// `herdgate explain`
    Explain(explain::Explain),
    /// Start a server from a configuration file.
    Start(start::Start),
    /// `-k` with a running server in mind.
    Control(control::Control),
    /// `-t`, `-S`, `-M`, and `-D DUMP_…`
    Check(check::Check),
    /// `-v`, `-l`: facts about the program.
    Show(show::Show),
}

/// What is said instead of doing anything.
#[derive(Debug)]
pub struct Usage {
    text: String,
    to_stdout: bool,
}

impl Usage {
    /// Prints it. Asking for `--help` is no mistake; everything else exits with 1, as httpd does.
    pub fn print(&self) -> ExitCode {
        // Nobody listening is no reason for another complaint.
        if self.to_stdout {
            let _ = std::io::stdout().write_all(self.text.as_bytes());
            return ExitCode::SUCCESS;
        }
        let _ = std::io::stderr().write_all(self.text.as_bytes());
        ExitCode::FAILURE
    }
}

/// An Apache-style HTTP server whose process model is a plug-in: prefork, worker or event.
#[derive(Debug, Parser)]
#[command(
    name = "herdgate",
    disable_version_flag = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "Signals: TERM stops, WINCH stops gracefully, HUP restarts, USR1 restarts gracefully, USR2 upgrades.\n\
                  A folder can be served without any configuration: herdgate serve DIR"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    httpd: Httpd,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a folder, without a configuration file
    Serve(serve::Serve),
    /// Watch a server: its workers, rates, gate and memory, live
    Top(top::Top),
    /// Tell how a request would be answered, and why
    Explain(explain::Explain),
}

/// httpd's own options.
#[derive(Debug, Args)]
struct Httpd {
    /// Configuration file, relative to the server's root
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The server's root, until ServerRoot says otherwise
    #[arg(short = 'd', value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Define NAME for <IfDefine> and ${NAME}; FOREGROUND stays on the terminal
    #[arg(short = 'D', value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    define: Vec<String>,
    /// Read this directive before the file
    #[arg(short = 'C', value_name = "DIRECTIVE", action = ArgAction::Append)]
    before: Vec<String>,
    /// Read this directive after the file
    #[arg(short = 'c', value_name = "DIRECTIVE", action = ArgAction::Append)]
    after: Vec<String>,
    /// Level of messages while starting: emerg … debug, trace8
    #[arg(short = 'e', value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// File for messages while starting
    #[arg(short = 'E', value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Control a running server by its pid file
    #[arg(short = 'k', value_name = "ACTION")]
    control: Option<Action>,
    /// Debug: one process, in the foreground, without a supervisor
    #[arg(short = 'X')]
    single: bool,
    /// Check the configuration, show all mistakes at once
    #[arg(short = 't')]
    check: bool,
    /// With -t: list what Apache has and Herdgate has not, and what to do about it
    #[arg(long, requires = "check")]
    compat: bool,
    /// As -t, without looking for document roots
    #[arg(short = 'T')]
    check_quickly: bool,
    /// List the modules that a configuration finds loaded
    #[arg(short = 'M')]
    modules: bool,
    /// Show the virtual hosts and what the server would run with
    #[arg(short = 'S')]
    hosts: bool,
    /// List the modules that are built in
    #[arg(short = 'l')]
    list: bool,
    /// Show the version
    #[arg(short = 'v')]
    version: bool,
    /// Show a short usage, and exit with 1, as httpd does
    #[arg(short = 'h')]
    usage: bool,
    /// Show this help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// `-k`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Start, unless it runs already
    Start,
    /// Stop now (TERM)
    Stop,
    /// Restart now (HUP)
    Restart,
    /// Restart, and let connections finish (USR1)
    Graceful,
    /// Stop, and let connections finish (WINCH)
    GracefulStop,
    /// Let a new process of the present binary take over, without closing a listener (USR2)
    Upgrade,
}

fn level(text: &str) -> Result<Level, String> {
    Level::named(text).ok_or_else(|| {
        "not a level: emerg alert crit error warn notice info debug trace1…trace8".into()
    })
}

/// Reads the arguments, the program's name first.
///
/// # Errors
/// A usage: asked for, or deserved.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, Usage> {
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| {
        let to_stdout = !error.use_stderr();
        Usage { text: error.render().to_string(), to_stdout }
    })?;
    let httpd = arguments.httpd;
    match arguments.command {
        Some(Command::Serve(serve)) => return Ok(Task::Serve(serve)),
        Some(Command::Top(top)) => return Ok(Task::Top(top)),
        Some(Command::Explain(explain)) => return Ok(Task::Explain(explain)),
        None => {}
    }
    if httpd.usage {
        let text = format!("{}\n", Arguments::command().render_usage());
        return Err(Usage {
            text: format!("{text}herdgate --help says more.\n"),
            to_stdout: false,
        });
    }
    if httpd.version {
        return Ok(Task::Show(show::Show::Version));
    }
    if httpd.list {
        return Ok(Task::Show(show::Show::BuiltIn));
    }
    let is_defined =
        |names: &[&str]| httpd.define.iter().any(|define| names.contains(&define.as_str()));
    let single = httpd.single || is_defined(&["DEBUG", "ONE_PROCESS"]);
    let foreground = single || is_defined(&["FOREGROUND", "NO_DETACH"]);
    let start = start::Start {
        source: source(&httpd),
        foreground,
        single,
        errors: httpd.errors,
        level: httpd.level.unwrap_or(Level::Notice),
    };
    // As in httpd: who asks to be shown something starts nothing.
    let shows = start.source.defines.iter().any(|(name, _)| name.starts_with("DUMP_"));
    if httpd.check || httpd.check_quickly || shows {
        return Ok(Task::Check(check::Check { source: start.source, compat: httpd.compat }));
    }
    Ok(match httpd.control {
        None | Some(Action::Start) => Task::Start(start),
        Some(action) => Task::Control(control::Control { action, start }),
    })
}

fn source(httpd: &Httpd) -> Source {
    let named = named_source(httpd.root.as_deref(), httpd.file.as_deref(), &httpd.define);
    let asked = [("DUMP_VHOSTS", httpd.hosts), ("DUMP_RUN_CFG", httpd.hosts)];
    let asked = asked.into_iter().chain([("DUMP_MODULES", httpd.modules)]);
    let asked = asked.filter(|(_, asked)| *asked).map(|(name, _)| (name.to_owned(), None));
    Source {
        defines: asked.chain(named.defines).collect(),
        before: httpd.before.clone(),
        after: httpd.after.clone(),
        ..named
    }
}

/// The configuration that `-d`, `-f` and `-D` name, each with httpd's default.
fn named_source(root: Option<&Path>, file: Option<&Path>, define: &[String]) -> Source {
    let root = root.unwrap_or(Path::new(DEFAULT_ROOT));
    let defines = define.iter().map(|define| match define.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (define.clone(), None),
    });
    Source {
        // A relative root is relative to where we stand, which a server that detaches may leave.
        root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()),
        file: Some(file.unwrap_or(Path::new(DEFAULT_FILE)).to_owned()),
        defines: defines.collect(),
        ..Source::default()
    }
}

/// Says one line on standard error, as a server does that has no log yet.
pub(crate) fn complain(line: std::fmt::Arguments<'_>) {
    // Nobody listening is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// An address as it is written in a URL.
pub(crate) fn in_url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Result<Task, Usage> {
        parse(std::iter::once("herdgate").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn httpds_letters_mean_what_they_mean_there() {
        let Ok(Task::Start(start)) =
            task("-d /srv -f my.conf -DFOREGROUND -D A=b -C Listen -e debug")
        else {
            panic!("a start");
        };
        assert!(start.foreground && !start.single);
        assert_eq!(start.source.root, PathBuf::from("/srv"));
        assert_eq!(start.source.file, Some(PathBuf::from("my.conf")));
        assert_eq!(start.source.defines[1], ("A".to_owned(), Some("b".to_owned())));
        assert_eq!(start.source.before, ["Listen"]);
        assert!(matches!(task("-X"), Ok(Task::Start(start)) if start.single && start.foreground));
        for line in ["-t -f x", "-S", "-M", "-D DUMP_INCLUDES"] {
            assert!(matches!(task(line), Ok(Task::Check(_))), "{line}");
        }
        assert!(
            matches!(task("-k graceful-stop"), Ok(Task::Control(c)) if c.action == Action::GracefulStop)
        );
        assert!(matches!(task("-k start"), Ok(Task::Start(_))));
    }

    #[test]
    fn help_is_no_mistake_and_everything_else_exits_with_1() {
        assert!(task("--help").is_err_and(|usage| usage.to_stdout));
        for mistake in ["-h", "-k never", "--no-such", "-e loud", "serve --port x"] {
            assert!(task(mistake).is_err_and(|usage| !usage.to_stdout), "{mistake}");
        }
    }
}
