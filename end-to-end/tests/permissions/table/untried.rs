use super::Grants;
use crate::account::Part;

pub(super) fn deployments() -> Grants {
    let functions = &[
        "function:user-service-lambda",
        "function:user-service-lambda:live",
        "function:product-service-lambda",
        "function:product-service-lambda:live",
        "function:order-service-lambda",
        "function:order-service-lambda:live",
    ];
    let of_reports = &["function:report-service-lambda", "function:report-service-lambda:live"];
    let actions = &["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"];
    let purpose = "CodeDeploy asks for it: docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html";
    Grants::of("DeploymentRole")
        .add("MoveAliases", actions, of_reports, purpose, None)
        .only_with(Part::Role("ReportServiceLambdaRole"), "MoveAliases")
        .add("MoveAliases", actions, functions, purpose, None)
        .add("WatchAlarms", &["cloudwatch:DescribeAlarms"], &["*"], purpose, None)
        .optional()
}

pub(super) fn flow_log() -> Grants {
    Grants::of("FlowLogRole")
        .add(
            "WriteLogs",
            &["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            &["log-group:/aws/vpc/microservices-vpc:*"],
            "VPC flow logs ask for it: docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html",
            None,
        )
        .add(
            "FindLogs",
            &["logs:DescribeLogGroups"],
            &["log-group:*"],
            "VPC flow logs ask for it: docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html",
            None,
        )
        .optional()
}

pub(super) fn instances() -> Grants {
    Grants::of("OperatorRole")
        .add(
            "policy of AWS",
            &["AWSLambdaManagedEC2ResourceOperator"],
            &["*"],
            "Lambda asks for it: docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-operator-role.html",
            None,
        )
        .add(
            "EncryptVolumes",
            &["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"],
            &["key"],
            "EC2 asks for it: docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html",
            None,
        )
        .only_with(Part::Key, "EncryptVolumes")
        .add(
            "LetVolumesUseKey",
            &["kms:CreateGrant"],
            &["key"],
            "EC2 asks for it: docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html",
            None,
        )
        .only_with(Part::Key, "LetVolumesUseKey")
        .optional()
}

pub(super) fn proxy() -> Grants {
    Grants::of("DatabaseProxyRole")
        .add(
            "ReadPassword",
            &["secretsmanager:GetSecretValue"],
            &["secret:rds!cluster"],
            "RDS Proxy asks for it: docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-iam-setup.html",
            None,
        )
        .optional()
}
