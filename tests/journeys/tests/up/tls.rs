//! Stand-alone programs that serve TLS by certificate files, and call each other over it.

use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, Customer, Site};
use concierge_testkit::request_id;
use sqlx::{Connection as _, PgConnection};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::kit::PATIENCE;
use crate::program::{Program, health};

#[tokio::test]
async fn serves_tls_and_calls_over_it() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let (directory, ticket_rule) = (Program::new("directory").await, Program::new("ticket-rule").await);
    let mut serving = Vec::new();
    for program in [&directory, &ticket_rule] {
        std::fs::write(program.path("certificate.pem"), &certificate).unwrap();
        std::fs::write(program.path("key.pem"), &key).unwrap();
        assert!(program.command("migrate").output().unwrap().status.success());
        let mut command = program.command("serve");
        command.env("CONCIERGE_TLS__CERTIFICATE_FILE", "certificate.pem").env("CONCIERGE_TLS__KEY_FILE", "key.pem");
        if program.name == "ticket-rule" {
            command
                .env("CONCIERGE_UPSTREAMS__DIRECTORY", format!("https://localhost:{}", directory.port))
                .env("CONCIERGE_UPSTREAMS__DIRECTORY_CA_FILE", "certificate.pem");
        }
        serving.push(program.start(command));
    }
    let tls = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&certificate));
    let secure = |program: &Program| {
        let address = format!("https://localhost:{}", program.port);
        Endpoint::from_shared(address).unwrap().tls_config(tls()).unwrap().connect_lazy()
    };
    for (program, serving) in [&directory, &ticket_rule].into_iter().zip(&mut serving) {
        serving.ready(&secure(program)).await;
        assert!(health(&program.endpoint().connect_lazy()).await.is_err(), "{} answers in the clear", program.name);
    }

    // ticket-rule hears of the customer over TLS.
    let request = directory.request(CreateCustomerRequest {
        customer: Some(Customer { name: "Acme".to_owned(), ..Default::default() }),
        main_site: Some(Site { name: "Main".to_owned(), ..Default::default() }),
        request_id: request_id(),
        ..Default::default()
    });
    CustomerServiceClient::new(secure(&directory)).create_customer(request).await.unwrap();
    let mut database = PgConnection::connect(&ticket_rule.database).await.unwrap();
    let heard = async {
        let sql = "select count(*) from projections where record_type = 'customer'";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut database).await.unwrap() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, heard).await.is_ok(), "not heard:\n{}", serving[1].said());
    for serving in &mut serving {
        serving.terminate();
        assert!(serving.ended().await.success(), "{}", serving.said());
    }
}
