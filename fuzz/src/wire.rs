//! Wire forms: protobuf of the kinds, objects as they are decoded and judged, SPDY.

use crate::resources::wire;
use crate::sample::{self, Manner};
use crate::stdx::spdy;
use crate::texts::alike;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::json;

/// What is read reads back when it is written. The first byte says which kind the rest is of.
pub fn protobuf(data: &[u8]) {
    let _ = wire::table().decode(data);
    let Some((kind, message)) = data.split_first() else {
        return;
    };
    let rows = crate::resources::BUILTINS;
    let def = rows[usize::from(*kind) % rows.len()];
    let mut body = envelope(&def.api_version(), &def.kind);
    field(2, message, &mut body);
    let Ok(value) = wire::table().decode(&body) else {
        return;
    };
    let again = wire::table()
        .encode(&value)
        .expect("what was read is written");
    let again = wire::table()
        .decode(&again)
        .expect("what was written is read");
    assert!(alike(&again, &value), "{again} is not {value}");
}

/// The envelope up to its message.
fn envelope(api_version: &str, kind: &str) -> Vec<u8> {
    let mut about = Vec::new();
    field(1, api_version.as_bytes(), &mut about);
    field(2, kind.as_bytes(), &mut about);
    let mut body = b"k8s\0".to_vec();
    field(1, &about, &mut body);
    body
}

/// Writes a field of bytes.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// An object of any kind is decoded, defaulted and judged; defaults twice are defaults once.
pub fn objects(data: &[u8]) {
    let _ = try_objects(&mut Unstructured::new(data));
}

fn try_objects(u: &mut Unstructured<'_>) -> Result<()> {
    let def = sample::row(u)?;
    let manner = if u.ratio(1, 4)? {
        Manner::Wild
    } else {
        Manner::Right
    };
    let mut body = sample::object(u, def, manner)?;
    if u.ratio(1, 2)?
        && let Ok(mut example) = serde_json::from_str(&def.example)
    {
        json_patch::merge(&mut example, &body);
        body = example;
    }
    body["apiVersion"] = json!(def.api_version());
    body["kind"] = json!(def.kind);
    let Ok(decoded) = def.decode(body) else {
        return Ok(());
    };
    let mut object = decoded.object;
    def.default(&mut object);
    let once = object.clone();
    def.default(&mut object);
    assert_eq!(once, object, "defaults twice");
    let _ = def.validate(&object);
    let stored = def
        .decode(once.clone().into_value())
        .expect("what is stored is read")
        .object;
    assert_eq!(stored, once, "what is stored reads back");
    Ok(())
}

/// Frames are read or refused; what is packed unpacks.
pub fn spdy(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut reader = spdy::Reader::new(data);
        while let Ok(Some(_)) = reader.next().await {}
    });
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (id, headers) = (data.len() as u32, [("a", text), ("b", "c")]);
    let Ok(mut packer) = spdy::Packer::new() else {
        return;
    };
    let mut bytes = packer.reply(id, &headers).expect("it packs").to_vec();
    bytes.extend(packer.reply(id, &headers).expect("it packs again"));
    bytes.extend(spdy::data(id, true, data));
    runtime.block_on(async {
        let mut reader = spdy::Reader::new(bytes.as_slice());
        for _ in 0..2 {
            let frame = reader.next().await.expect("a frame").expect("a frame");
            let spdy::Frame::Reply { id: found, headers } = frame else {
                panic!("{frame:?}")
            };
            assert_eq!((found, headers[0].1.as_str()), (id, text));
        }
        let frame = reader.next().await.expect("a frame");
        assert!(matches!(frame, Some(spdy::Frame::Data { bytes, .. }) if bytes == data));
    });
}
