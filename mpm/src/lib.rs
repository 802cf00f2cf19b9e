//! Process models as a plug-in: prefork, worker and event over one connection state machine.
