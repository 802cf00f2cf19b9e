//! seccomp: system calls that a server's child never makes, refused.
//!
//! ```text
//!   number ─▶ newer than this list?    ENOSYS: as on an older kernel
//!          ─▶ clone3?                  ENOSYS: its flags are in memory, so the C library is sent to clone
//!          ─▶ in the list?             EPERM, some only with certain arguments
//!          ─▶ else                     as ever, and the kernel remembers that: no filter runs for it again
//! ```
//!
//! - What is refused is listed, and not what is allowed. A list of what is allowed follows each C library and each of its
//!   versions, and its mistakes kill servers; a list of what is refused has one weakness, calls that did not exist when
//!   it was written, and the first line above takes that away.
//! - Refused calls fail. Nothing is killed: a library that tries its luck and takes another road goes on working.
//! - Calls of another architecture (32 bits on a 64-bit kernel) kill: they can only come from an intruder.

use std::collections::BTreeMap;
use std::io;

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::Peers;

/// Refuses, to the calling thread and to all that it starts, system calls that serving does not need. seccomp(2).
///
/// # Errors
/// The kernel has no filters ([`offer`](super::offer) tells), or no memory for one.
pub fn limit_calls(peers: Peers) -> io::Result<()> {
    let program = refusals(peers).map_err(io::Error::other)?;
    apply_filter(&unknown_numbers()).map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

/// How many system calls are refused, altogether or with certain arguments.
pub fn refused_calls(peers: Peers) -> usize {
    rules(peers).map_or(0, |rules| rules.len())
}

/// The newest system call that was looked at: mseal, of Linux 6.10. From 424 on, all architectures share their numbers;
/// those of x86-64's x32 are far above.
const NEWEST: u32 = 462;

/// What is newer than the lists, or hides from them.
fn unknown_numbers() -> [sock_filter; 5] {
    let clone3 = u32::try_from(libc::SYS_clone3).expect("the numbers of calls are small");
    let missing = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let (load, answer) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_RET | libc::BPF_K);
    let is_above = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    [
        instruction(load, 0, (0, 0)), // The number stands at the front of what a filter is shown.
        instruction(is_above, NEWEST, (1, 0)),
        instruction(is, clone3, (0, 1)),
        instruction(answer, missing, (0, 0)),
        instruction(answer, libc::SECCOMP_RET_ALLOW, (0, 0)),
    ]
}

/// `skip`: how many instructions to leave out if it is so, and if not.
fn instruction(code: u32, k: u32, skip: (u8, u8)) -> sock_filter {
    let code = u16::try_from(code).expect("the codes have 16 bits");
    sock_filter { code, jt: skip.0, jf: skip.1, k }
}

fn refusals(peers: Peers) -> Result<BpfProgram, seccompiler::BackendError> {
    let forbidden = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let here = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules(peers)?, SeccompAction::Allow, forbidden, here)?.try_into()
}

#[cfg(test)]
pub(super) fn always_refused() -> impl Iterator<Item = c_long> {
    rules(Peers::Nobody)
        .unwrap()
        .into_iter()
        .filter(|(_, when)| when.is_empty())
        .map(|(number, _)| number)
}

/// For each call that is refused, when; always, if nothing is said.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn rules(peers: Peers) -> Result<Rules, seccompiler::BackendError> {
    let never = [PROGRAMS, PROCESSES, IDENTITY, NAMES, MEMORY, MESSAGES, MACHINE, OF_THIS_MACHINE];
    let mut rules: Rules =
        never.into_iter().flatten().map(|number| (*number, Vec::new())).collect();
    let own = u64::from(std::process::id());
    let mut refuse = |number: c_long, when: &[Condition]| {
        let refusals = rules.entry(number).or_default();
        if !when.is_empty() {
            let conditions = when.iter().map(Condition::compiled).collect::<Result<_, _>>()?;
            refusals.push(SeccompRule::new(conditions)?);
        }
        Ok::<_, seccompiler::BackendError>(())
    };

    // Threads, and nothing else that would run beside us.
    refuse(libc::SYS_clone, &[bits(0, libc::CLONE_THREAD, 0)])?;
    // Our own threads may be signalled (abort does), and our own limits asked for.
    for number in
        [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo]
    {
        refuse(number, &[is_not(0, own)])?;
    }
    refuse(libc::SYS_prlimit64, &[is_not(0, 0), is_not(0, own)])?;

    // Code comes from files, where nothing can be written, and from nowhere else.
    refuse(
        libc::SYS_mmap,
        &[
            bits(2, libc::PROT_EXEC, libc::PROT_EXEC),
            bits(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS),
        ],
    )?;
    let both = libc::PROT_EXEC | libc::PROT_WRITE;
    refuse(libc::SYS_mmap, &[bits(2, both, both)])?;
    for number in [libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        refuse(number, &[bits(2, libc::PROT_EXEC, libc::PROT_EXEC)])?;
    }

    // A log stays open for append: what is written there already cannot be written over.
    refuse(libc::SYS_fcntl, &[is(1, libc::F_SETFL)])?;
    // Keys typed into the terminal that the server was started from.
    for request in [TIOCSTI, TIOCLINUX] {
        refuse(libc::SYS_ioctl, &[is(1, request)])?;
    }
    for (number, when) in sockets(peers) {
        refuse(number, &when)?;
    }
    Ok(rules)
}

/// Sockets of other kinds than those that `peers` need, and other ways to send to an address.
fn sockets(peers: Peers) -> Vec<(c_long, Vec<Condition>)> {
    const KIND: c_int = 0xf; // The rest are flags.
    let mut refused = vec![(libc::SYS_listen, vec![]), (libc::SYS_socketpair, vec![])];
    if peers == Peers::Resolver {
        let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        refused.push((libc::SYS_socket, families.map(|family| is_not(0, number(family))).into()));
        for family in [libc::AF_INET, libc::AF_INET6] {
            refused.push((libc::SYS_socket, vec![is(0, family), bits(1, KIND, libc::SOCK_RAW)]));
        }
        // Addresses of this machine are all that the C library asks for.
        let others = vec![is(0, libc::AF_NETLINK), is_not(2, number(libc::NETLINK_ROUTE))];
        refused.push((libc::SYS_socket, others));
        return refused;
    }
    // A socket of this kind does nothing without `connect`, and takes the place of one that is given up.
    refused.push((libc::SYS_socket, vec![is_not(0, number(libc::AF_UNIX))]));
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET] {
        refused.push((libc::SYS_socket, vec![bits(1, KIND, kind)]));
    }
    refused.extend([(libc::SYS_bind, vec![]), (libc::SYS_sendmmsg, vec![])]);
    // A TCP socket whose client has gone can connect anew, also by sending with TCP Fast Open.
    let anywhere = Condition { argument: 4, bits: u64::MAX, is: false, value: 0 };
    refused.push((libc::SYS_sendto, vec![anywhere]));
    refused.push((libc::SYS_sendto, vec![bits(3, libc::MSG_FASTOPEN, libc::MSG_FASTOPEN)]));
    refused.push((libc::SYS_sendmsg, vec![bits(2, libc::MSG_FASTOPEN, libc::MSG_FASTOPEN)]));
    if peers == Peers::Nobody {
        refused.push((libc::SYS_connect, vec![]));
    }
    refused
}

/// What an argument must be for a call to be refused.
struct Condition {
    /// Counted from 0.
    argument: u8,
    /// Those of it that count.
    bits: u64,
    /// Whether they must be as in `value`, or otherwise.
    is: bool,
    value: u64,
}

impl Condition {
    fn compiled(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        // A C int fills half of its register, and the kernel does not look at the other half.
        let is_int = self.bits <= u32::MAX.into();
        let length = if is_int { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
        let operation = if self.is { SeccompCmpOp::MaskedEq(self.bits) } else { SeccompCmpOp::Ne };
        SeccompCondition::new(self.argument, length, operation, self.value)
    }
}

fn is(argument: u8, value: c_int) -> Condition {
    bits(argument, -1, value)
}

fn is_not(argument: u8, value: u64) -> Condition {
    Condition { argument, bits: u32::MAX.into(), is: false, value }
}

fn bits(argument: u8, bits: c_int, value: c_int) -> Condition {
    Condition { argument, bits: number(bits), is: true, value: number(value) }
}

fn number(value: c_int) -> u64 {
    value.cast_unsigned().into()
}

/// Running something else.
const PROGRAMS: &[c_long] =
    &[libc::SYS_execve, libc::SYS_execveat, libc::SYS_unshare, libc::SYS_setns];

/// Looking into other processes, and disturbing them. The supervisor may be root's.
const PROCESSES: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_perf_event_open,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// Becoming somebody else. Whoever a child should be, it is when this begins to hold.
const IDENTITY: &[c_long] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
];

/// Changing files and folders by name, their rights and their length: half of it is what Landlock does not know.
const NAMES: &[c_long] = &[
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
];

/// Since Linux 6.6; not every libc crate has it.
const FCHMODAT2: c_long = 452;

/// C libraries do not agree on their type.
const TIOCSTI: c_int = 0x5412;
const TIOCLINUX: c_int = 0x541c;

/// Files that are only in memory can hold a program as well.
const MEMORY: &[c_long] = &[libc::SYS_memfd_create, libc::SYS_memfd_secret, libc::SYS_userfaultfd];

/// Ways to talk to other processes that no name or address leads to.
const MESSAGES: &[c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// The machine as a whole, and large parts of the kernel that intruders like.
const MACHINE: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// What x86-64 has from older days.
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_uselib,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
];

#[cfg(target_arch = "aarch64")]
const OF_THIS_MACHINE: &[c_long] = &[libc::SYS_renameat];
