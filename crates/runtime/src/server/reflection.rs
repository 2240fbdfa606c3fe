//! Server reflection, v1 and v1alpha.
//!
//! Our own because it hands out the files of the contract as they were compiled: with our options, so that a program can
//! read from a running server who may call what. Decoding them with the standard types would drop these.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::Message;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::pb::{v1, v1alpha};

/// A set of files, not decoded further.
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// What reflection knows.
#[derive(Debug, Default)]
pub(super) struct Contract {
    files: Vec<Bytes>,
    by_name: HashMap<String, usize>,
    by_symbol: HashMap<String, usize>,
    /// By the type extended, then the field's number.
    extensions: HashMap<String, BTreeMap<i32, usize>>,
    services: Vec<String>,
}

enum Asked<'a> {
    File(&'a str),
    Symbol(&'a str),
    Extension(&'a str, i32),
    Extensions(&'a str),
    Services,
    Nothing,
}

enum Told {
    File(Vec<u8>),
    Extensions(Vec<i32>),
    Services(Vec<String>),
    NotFound(String),
    Invalid,
}

impl Contract {
    /// Our contract, health and reflection; `services` are those that the server has.
    pub(super) fn new(services: &[&str]) -> Self {
        let mut contract = Self::default();
        for set in [
            concierge_proto::DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            v1::FILE_DESCRIPTOR_SET,
            v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            // These sets are part of the program; what cannot be read is left out, and the tests would tell.
            for file in RawSet::decode(Bytes::from_static(set)).unwrap_or_default().file {
                if let Ok(descriptor) = FileDescriptorProto::decode(file.clone()) {
                    contract.add(file, &descriptor);
                }
            }
        }
        let standard = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ];
        contract.services = services.iter().chain(&standard).map(|name| (*name).to_owned()).collect();
        contract.services.sort_unstable();
        contract
    }

    fn add(&mut self, bytes: Bytes, file: &FileDescriptorProto) {
        let index = self.files.len();
        if self.by_name.contains_key(file.name()) {
            return;
        }
        self.files.push(bytes);
        self.by_name.insert(file.name().to_owned(), index);
        let within = |name: &str| join(file.package(), name);
        for message in &file.message_type {
            self.add_message(index, file.package(), message);
        }
        for value in &file.enum_type {
            self.by_symbol.insert(within(value.name()), index);
            // Values of an enum are names beside it, not below it.
            for value in &value.value {
                self.by_symbol.insert(within(value.name()), index);
            }
        }
        for service in &file.service {
            let service_name = within(service.name());
            for method in &service.method {
                self.by_symbol.insert(join(&service_name, method.name()), index);
            }
            self.by_symbol.insert(service_name, index);
        }
        self.add_extensions(index, file.package(), &file.extension);
    }

    fn add_message(&mut self, index: usize, scope: &str, message: &DescriptorProto) {
        let name = join(scope, message.name());
        for field in &message.field {
            self.by_symbol.insert(join(&name, field.name()), index);
        }
        for oneof in &message.oneof_decl {
            self.by_symbol.insert(join(&name, oneof.name()), index);
        }
        for nested in &message.nested_type {
            self.add_message(index, &name, nested);
        }
        for nested in &message.enum_type {
            self.by_symbol.insert(join(&name, nested.name()), index);
            for value in &nested.value {
                self.by_symbol.insert(join(&name, value.name()), index);
            }
        }
        self.add_extensions(index, &name, &message.extension);
        self.by_symbol.insert(name, index);
    }

    fn add_extensions(&mut self, index: usize, scope: &str, extensions: &[FieldDescriptorProto]) {
        for extension in extensions {
            self.by_symbol.insert(join(scope, extension.name()), index);
            let extended = extension.extendee().trim_start_matches('.').to_owned();
            self.extensions.entry(extended).or_default().insert(extension.number(), index);
        }
    }

    fn tell(&self, asked: &Asked<'_>) -> Told {
        let file = |index: Option<&usize>, what: &str| match index.and_then(|index| self.files.get(*index)) {
            Some(bytes) => Told::File(bytes.to_vec()),
            None => Told::NotFound(what.chars().take(200).collect()),
        };
        match asked {
            Asked::File(name) => file(self.by_name.get(*name), name),
            Asked::Symbol(name) => file(self.by_symbol.get(name.trim_start_matches('.')), name),
            Asked::Extension(of, number) => file(self.extensions.get(*of).and_then(|e| e.get(number)), of),
            Asked::Extensions(of) if self.by_symbol.contains_key(*of) => {
                Told::Extensions(self.extensions.get(*of).map(|e| e.keys().copied().collect()).unwrap_or_default())
            }
            Asked::Extensions(of) => file(None, of),
            Asked::Services => Told::Services(self.services.clone()),
            Asked::Nothing => Told::Invalid,
        }
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Answers reflection.
#[derive(Clone, Debug)]
pub(super) struct Reflection(pub(super) Arc<Contract>);

/// Both versions of the protocol have the same messages under different names.
macro_rules! reflection {
    ($version:ident) => {
        #[tonic::async_trait]
        impl $version::server_reflection_server::ServerReflection for Reflection {
            type ServerReflectionInfoStream = BoxStream<'static, Result<$version::ServerReflectionResponse, Status>>;

            async fn server_reflection_info(
                &self,
                request: Request<Streaming<$version::ServerReflectionRequest>>,
            ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                use $version::server_reflection_request::MessageRequest;
                use $version::server_reflection_response::MessageResponse;
                let contract = Arc::clone(&self.0);
                let answers = request.into_inner().map(move |request| {
                    let request = request?;
                    let asked = match &request.message_request {
                        Some(MessageRequest::FileByFilename(name)) => Asked::File(name),
                        Some(MessageRequest::FileContainingSymbol(name)) => Asked::Symbol(name),
                        Some(MessageRequest::FileContainingExtension(e)) => {
                            Asked::Extension(&e.containing_type, e.extension_number)
                        }
                        Some(MessageRequest::AllExtensionNumbersOfType(of)) => Asked::Extensions(of),
                        Some(MessageRequest::ListServices(_)) => Asked::Services,
                        None => Asked::Nothing,
                    };
                    let error = |code: tonic::Code, text: String| {
                        MessageResponse::ErrorResponse($version::ErrorResponse {
                            error_code: code.into(),
                            error_message: text,
                        })
                    };
                    let response = match contract.tell(&asked) {
                        Told::File(bytes) => {
                            MessageResponse::FileDescriptorResponse($version::FileDescriptorResponse {
                                file_descriptor_proto: vec![bytes],
                            })
                        }
                        Told::Extensions(numbers) => {
                            MessageResponse::AllExtensionNumbersResponse($version::ExtensionNumberResponse {
                                base_type_name: match &asked {
                                    Asked::Extensions(of) => (*of).to_owned(),
                                    _ => String::new(),
                                },
                                extension_number: numbers,
                            })
                        }
                        Told::Services(names) => MessageResponse::ListServicesResponse($version::ListServiceResponse {
                            service: names.into_iter().map(|name| $version::ServiceResponse { name }).collect(),
                        }),
                        Told::NotFound(what) => error(tonic::Code::NotFound, format!("the contract has no {what}")),
                        Told::Invalid => error(tonic::Code::InvalidArgument, "nothing was asked".to_owned()),
                    };
                    Ok($version::ServerReflectionResponse {
                        valid_host: request.host.clone(),
                        original_request: Some(request),
                        message_response: Some(response),
                    })
                });
                Ok(Response::new(answers.boxed()))
            }
        }
    };
}

reflection!(v1);
reflection!(v1alpha);
