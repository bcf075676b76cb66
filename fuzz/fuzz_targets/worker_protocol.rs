//! The frames between server and guard, from either side: whatever bytes come in whatever pieces, they are refused or read, take no
//! more memory than they are long, and what was read is written as the same bytes' meaning.

#![no_main]

mod worker;

use libfuzzer_sys::fuzz_target;
use worker::protocol::{FrameReader, FromGuard, ToGuard, decode, encode};

const HEADER_BYTES: usize = 4;

fuzz_target!(|data: &[u8]| {
    let Some((&size, stream)) = data.split_first() else { return };
    // As frames in a stream, in pieces of a size that the input chooses.
    let mut reader = FrameReader::default();
    for piece in stream.chunks(usize::from(size).max(1)) {
        reader.push(piece);
        while let Ok(Some(frame)) = reader.next_frame() {
            assert!(frame.len() <= stream.len());
            payload(&frame);
        }
    }
    // As one payload.
    payload(stream);
});

fn payload(bytes: &[u8]) {
    if let Ok(message) = decode::<ToGuard<'_>>(bytes) {
        let written = encode(&message).expect("what was read can be written");
        assert!(decode::<ToGuard<'_>>(&written[HEADER_BYTES..]).is_ok());
    }
    if let Ok(message) = decode::<FromGuard<'_>>(bytes) {
        let shown = format!("{message:?}");
        let written = encode(&message).expect("what was read can be written");
        let again = decode::<FromGuard<'_>>(&written[HEADER_BYTES..]).expect("it can be read");
        assert_eq!(format!("{again:?}"), shown);
    }
}
