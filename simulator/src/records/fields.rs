//! A record as an ordered list of fields, before it becomes JSON or `key=value`.

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Text(String),
    Number(u64),
    Bool(bool),
    /// JSON as it stands.
    Json(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// The fields of one record, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<(&'static str, Value)>);

impl Fields {
    pub fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push((key, value.into()));
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Takes a field out.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| *name != key);
    }

    /// Puts another value in the place of a field that is there.
    pub fn replace(&mut self, key: &str, value: impl Into<Value>) {
        if let Some(field) = self.0.iter_mut().find(|(name, _)| *name == key) {
            field.1 = value.into();
        }
    }

    /// As one JSON object. With `escape_slashes` as `\/`, which some of Mimecast's writers do.
    pub fn write_json(&self, escape_slashes: bool, out: &mut String) {
        out.push('{');
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_text(key, false, out);
            out.push(':');
            match value {
                Value::Null => out.push_str("null"),
                Value::Text(text) => write_text(text, escape_slashes, out),
                Value::Number(number) => out.push_str(&number.to_string()),
                Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
                Value::Json(json) => out.push_str(json),
            }
        }
        out.push('}');
    }
}

fn write_text(text: &str, escape_slashes: bool, out: &mut String) {
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\' && !(escape_slashes && *byte == b'/');
    if text.as_bytes().iter().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else if escape_slashes {
        out.push_str(&quote(text).replace('/', "\\/"));
    } else {
        out.push_str(&quote(text));
    }
}

/// A text as a JSON string, with its quotes.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_one_json_object_in_their_order() {
        let mut fields = Fields::default();
        fields.add("b", "a/\"b\"");
        fields.add("a", 7);
        fields.add("c", None::<&str>);
        fields.add("d", true);
        fields.add("e", Value::Json("{\"x\":1}".to_owned()));
        let mut text = String::new();
        fields.write_json(true, &mut text);
        assert_eq!(text, r#"{"b":"a\/\"b\"","a":7,"c":null,"d":true,"e":{"x":1}}"#);
        fields.remove("a");
        fields.replace("b", "x");
        assert_eq!(fields.get("b"), Some(&Value::Text("x".to_owned())));
        assert_eq!(fields.get("a"), None);
    }
}
