//! Changes of one value within JSON. A byte at a time hardly ever makes a number of another size out of a number.

use serde_json::{Value, json};

use crate::json_change::{JsonChange, change_place, places};

/// The same bytes with one value changed in the first JSON object or list within them; `None` where there is none.
pub fn changed_json(data: &[u8], seed: u32) -> Option<Vec<u8>> {
    let start = data.iter().position(|byte| matches!(byte, b'{' | b'['))?;
    let (before, rest) = data.split_at_checked(start)?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
    let mut value = values.next()?.ok()?;
    let after = rest.get(values.byte_offset()..)?;
    // The low digits choose what happens, the rest where.
    let (what, place) = (seed % WHATS, usize::try_from(seed / WHATS).ok()?);
    let mut left = place % places(&value);
    change_place(&mut value, &mut left, &change(what));
    Some([before, value.to_string().as_bytes(), after].concat())
}

const WHATS: u32 = 18;

fn change(what: u32) -> JsonChange {
    JsonChange::Value(match what {
        0 => return JsonChange::Remove,
        1 => return JsonChange::Wrap,
        2 => return JsonChange::Repeat(2),
        3 => return JsonChange::Repeat(0),
        4 => return JsonChange::Rename("url".to_owned()),
        5 => Value::Null,
        6 => json!(true),
        7 => json!(0),
        8 => json!(-1),
        9 => json!(u64::MAX),
        10 => json!(i64::MIN),
        11 => json!(1e308),
        12 => json!(0.1),
        13 => json!(""),
        14 => json!("https://example.com/a.png?x=1"),
        15 => json!("data:image/png;base64,iVBORw0KGgo="),
        16 => json!("\u{1F98A}\u{0}\n"),
        _ => json!({}),
    })
}
