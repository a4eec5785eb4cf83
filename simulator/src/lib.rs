//! Mimecast as a state machine.
